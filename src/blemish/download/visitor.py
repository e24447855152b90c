"""What reading an archive is for."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import PurePosixPath
from typing import Protocol

Write = Callable[[bytes], object]


class Visitor(Protocol):
    """Is shown the members of an archive that passed its gate, in the archive's order."""

    def expect(self, members: Iterable[tuple[PurePosixPath, int]]) -> None:
        """Told the names and sizes of all members, by the formats that have a list of them."""

    def member(self, name: PurePosixPath, size: int) -> AbstractContextManager[Write | None]:
        """A context in which the member's bytes are written; None where they are not wanted."""
