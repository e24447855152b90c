"""The members of an archive: what each must satisfy, and what receives those that do.

Names are judged for the strictest file system an archive may be shared on: what collides on a
disk that ignores case would silently lose a file there.
"""

import re
import unicodedata
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Protocol

from blemish.core.errors import UserError

MOST_BYTES = 60 * 10**9  # an archive's unpacked size; the largest published set takes 40 GB
MOST_RATIO = 200  # unpacked : packed; images are packed already, masks reach about 100
FREE_BYTES = 100 * 10**6  # up to this total the ratio does not matter
MOST_MEMBERS = 2_000_000
LONGEST_PART = 255  # bytes of a file's or folder's name, what file systems allow
LONGEST_NAME = 1024  # bytes of a whole member name

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
DRIVE = re.compile(r"[A-Za-z]:")

Write = Callable[[bytes], object]


class Receiver(Protocol):
    """What an archive is read for. Is given the members that the gate admits, in their order."""

    def expect(self, size: int) -> None:
        """Told the bytes of all members before the first, where the format has a list of them."""

    def member(self, name: PurePosixPath, size: int) -> AbstractContextManager[Write]:
        """A context in which the member's bytes are written."""


class Gate:
    """Admits the members of one archive in turn, or refuses one by name with a UserError."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        size = archive.stat().st_size
        self.allowance = min(MOST_BYTES, max(FREE_BYTES, MOST_RATIO * size))
        self._bytes = 0
        self._members = 0
        self._files: dict[str, str] = {}  # folded name → name
        self._folders: dict[str, str] = {}

    def admit(
        self, name: str, size: int, *, is_folder: bool = False, is_regular: bool = True
    ) -> PurePosixPath | None:
        """The safe relative path of a file of `size` bytes; None for what need not be unpacked: a
        folder, or what macOS leaves behind. Raises UserError for a member that is refused."""
        self._count(name, 0 if is_folder else size)
        path = PurePosixPath(name)
        reason = _fault(name, path)
        if reason:
            raise self.refusal(name, reason)
        if not (is_regular or is_folder):
            raise self.refusal(name, "is a link or a device")
        if _is_from_macos(path):
            return None
        if is_folder:
            self._enter(name, path)
            return None
        if not path.parts:
            raise self.refusal(name, "has no name")
        self._enter(name, path.parent)
        self._add(name, path)
        return path

    def refusal(self, name: str | bytes, reason: str) -> UserError:
        """The error that names a member, shortened where the name itself is the attack."""
        shown = repr(name) if len(name) <= 120 else f"{name[:100]!r}…"
        return UserError(f"{self.archive}: member {shown} {reason}: refused")

    def _count(self, name: str, size: int) -> None:
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise self.refusal(name, f"is one of more than {MOST_MEMBERS:,}")
        self._bytes += size
        if size < 0 or self._bytes > self.allowance:
            raise self.refusal(
                name, f"claims {size:,} bytes, in all more than the {self.allowance:,} allowed"
            )

    def _enter(self, name: str, folder: PurePosixPath) -> None:
        """Remember the folders on the way to a member; none may be a file or another's case."""
        while folder.parts:
            text = folder.as_posix()
            key = _folded(text)
            known = self._folders.get(key)
            if known == text:
                return
            if known is not None:
                raise self.refusal(name, f"differs from {known!r} only in case or accents")
            if key in self._files:
                raise self.refusal(name, f"needs a folder where {self._files[key]!r} is a file")
            self._folders[key] = text
            folder = folder.parent

    def _add(self, name: str, path: PurePosixPath) -> None:
        text = path.as_posix()
        key = _folded(text)
        known = self._files.get(key)
        if known == text:
            raise self.refusal(name, "is there twice")
        if known is not None:
            raise self.refusal(name, f"differs from {known!r} only in case or accents")
        if key in self._folders:
            raise self.refusal(name, "is a file and a folder")
        self._files[key] = text


def _fault(name: str, path: PurePosixPath) -> str:
    """What is wrong with a name, "" if nothing is."""
    if CONTROL.search(name):
        return "has a name that is not UTF-8 or holds control characters"
    if path.is_absolute() or ".." in path.parts or "\\" in name or DRIVE.match(name):
        return "leads outside the folder"
    parts = [len(part.encode()) for part in path.parts]
    if max(parts, default=0) > LONGEST_PART or len(name.encode()) > LONGEST_NAME:
        return "has too long a name"
    return ""


def _is_from_macos(path: PurePosixPath) -> bool:
    """Whether macOS wrote this beside the user's own files."""
    return any(part in {"__MACOSX", ".DS_Store"} or part.startswith("._") for part in path.parts)


def _folded(text: str) -> str:
    """Equal for names that a file system without case, or with other accents, takes as one."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return text if folded == text else folded  # one string object for both, of two million
