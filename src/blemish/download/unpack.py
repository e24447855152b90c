"""Unpacking the wanted members of an archive, and the digest of all of them."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from blemish.core.errors import UserError

from .disk import require_free
from .formats import read_archive
from .visitor import Write

Wanted = Callable[[PurePosixPath], PurePosixPath | None]


def unpack(path: Path, folder: Path, wanted: Wanted) -> int:
    """Unpack the members for which `wanted` gives a target name below `folder`; return how many.

    Raises UserError naming the archive if it cannot be read to its end or does not fit on the
    disk, or the member that is refused: a link, a device, one that is there twice, one whose name
    leads outside, one that claims absurdly many bytes.
    """
    unpacking = _Unpacking(path, folder, wanted)
    folder.mkdir(parents=True, exist_ok=True)
    read_archive(path, unpacking)
    return unpacking.count


class _Unpacking:
    """Visits an archive's members and writes the wanted ones."""

    def __init__(self, path: Path, folder: Path, wanted: Wanted) -> None:
        self.count = 0
        self._path, self._folder, self._wanted = path, folder, wanted

    def expect(self, members: Iterable[tuple[PurePosixPath, int]]) -> None:
        size = sum(size for name, size in members if self._wanted(name) is not None)
        require_free(self._folder, size, f"unpacking {self._path.name}")

    @contextmanager
    def member(self, name: PurePosixPath, size: int) -> Iterator[Write | None]:
        target = self._wanted(name)
        if target is None:
            yield None
            return
        place = self._folder / target
        if place.exists():
            raise UserError(f"{self._path}: member {str(name)!r} is there twice: refused")
        require_free(self._folder, size, f"unpacking {self._path.name}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            copy = place.open("xb")
        except OSError as error:
            raise _unwritable(place, error) from None
        with copy:

            def write(data: bytes) -> None:
                try:
                    copy.write(data)
                except OSError as error:
                    raise _unwritable(place, error) from None

            yield write
        self.count += 1


def _unwritable(place: Path, error: OSError) -> UserError:
    return UserError(f"{place}: cannot be written while unpacking ({error.strerror})")


def content_digest(path: Path) -> str:
    """SHA-256 over an archive's sorted (name without its top folder, SHA-256 of the bytes).

    Raises UserError as `unpack` does.
    """
    digesting = _Digesting()
    read_archive(path, digesting)
    return hashlib.sha256("".join(sorted(digesting.lines)).encode()).hexdigest()


class _Digesting:
    """Visits an archive's members and notes what each holds."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def expect(self, members: Iterable[tuple[PurePosixPath, int]]) -> None:
        pass

    @contextmanager
    def member(self, name: PurePosixPath, size: int) -> Iterator[Write | None]:  # noqa: ARG002
        digest = hashlib.sha256()
        yield digest.update
        self.lines.append(f"{'/'.join(name.parts[1:])} {digest.hexdigest()}\n")
