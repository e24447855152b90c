"""Which files of a watched folder are whole and new.

Folders are looked through again and again, which works on network drives too, where systems tell
nobody of new files. No clock of another machine is asked: a file counts from when it is first seen.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from blemish.predict.inputs import Source, images_below

LAST_TRY = 10  # times as long as files must rest, until one that cannot be read is given up


class Version(NamedTuple):
    """A file as it was at some time: another size or time is another image."""

    name: str
    bytes: int
    modified_ns: int


@dataclass
class Waiting:
    """A file that is not judged yet. since: when this version was first seen, in s of a clock."""

    source: Source
    version: Version
    since: float
    tried: bool = False


@dataclass
class Arrivals:
    """The new files of a folder.

    outputs: folders below it that are not looked into. rest: seconds for which size and time of a
    file must stay the same until it counts as whole.
    """

    folder: Path
    outputs: Sequence[Path]
    rest: float
    _waiting: dict[str, Waiting] = field(default_factory=dict, init=False)

    def look(self, now: float, done: Collection[Version]) -> list[Waiting]:
        """The files that are whole and not `done`, the oldest first."""
        before, self._waiting = self._waiting, {}
        for source, version in self._found():
            if version not in done:
                known = before.get(version.name)
                same = known is not None and known.version == version
                self._waiting[version.name] = (
                    known if known and same else Waiting(source, version, now)
                )
        ready = [one for one in self._waiting.values() if now - one.since >= self._rest_of(one)]
        return sorted(ready, key=lambda one: (one.version.modified_ns, one.version.name))

    def is_quiet(self) -> bool:
        """Whether the last look saw nothing that is not done."""
        return not self._waiting

    def _rest_of(self, one: Waiting) -> float:
        return self.rest * LAST_TRY if one.tried else self.rest

    def _found(self) -> Iterator[tuple[Source, Version]]:
        for path in images_below(self.folder, self.outputs, lambda _: None):
            version = version_of(path, self.folder)
            if version is not None:
                # With the suffix in it, so that a.png and a.jpg get two overlays.
                name = path.relative_to(self.folder)
                yield Source(path, name.with_name(f"{name.name}.png")), version


def version_of(path: Path, folder: Path) -> Version | None:
    """A file as it is now; None where it has gone."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return Version(plain_name(path.relative_to(folder)), facts.st_size, facts.st_mtime_ns)


def plain_name(path: Path) -> str:
    """A path as one line of UTF-8: other bytes and control characters as escapes."""
    text = path.as_posix().encode("utf-8", "backslashreplace").decode()
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text)
