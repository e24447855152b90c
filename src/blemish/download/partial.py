"""The part of a download that has arrived, and the note that says what it is a part of."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast

CONTENT_RANGE = re.compile(r"bytes (?P<first>[0-9]+)-[0-9]+/(?P<total>[0-9]+|\*)")


class Note(TypedDict):
    """What a partial file is a part of; `total` in bytes, 0 if unknown."""

    url: str
    validator: str  # ETag or date, "" if the server gives none
    total: int


class Partial:
    """A partial file at `path`, and its note beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(f"{path.name}.json")
        self._known = self._read_note()

    @property
    def total(self) -> int:
        """The size of the whole file in bytes, 0 if the server did not say."""
        return self._known["total"]

    def size_from(self, url: str) -> int:
        """How many bytes of `url` are there and can be gone on from; 0 where one must start anew.

        Without a validator nobody could tell whether the rest belongs to the same file.
        """
        is_same = self._known["url"] == url and self._known["validator"]
        return self.path.stat().st_size if is_same and self.path.exists() else 0

    def resuming(self, start: int) -> dict[str, str]:
        """The request headers for the bytes from `start` on, if the file is still the same."""
        if not start:
            return {}
        return {"Range": f"bytes={start}-", "If-Range": self._known["validator"]}

    def is_continued_by(self, headers: Mapping[str, str], start: int) -> bool:
        """Whether a 206 answer is the rest of this file; servers overlook If-Range."""
        extent = CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if extent is None or start == 0 or int(extent["first"]) != start:
            return False
        is_same = _validator(headers) in ("", self._known["validator"])
        return is_same and extent["total"] in ("*", str(self.total or "*"))

    def begin(self, url: str, headers: Mapping[str, str], start: int, total: int) -> None:
        """Prepare for writing at `start`: at 0 what was there is thrown away."""
        if start:
            return
        self.discard()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._known = {"url": url, "validator": _validator(headers), "total": total}
        self._note.write_text(json.dumps(self._known), encoding="utf-8")

    def discard(self) -> None:
        """Remove the partial file and its note."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self._known = self._read_note()

    def finish(self, target: Path) -> None:
        """Give the whole and verified file its name."""
        self.path.replace(target)
        self._note.unlink(missing_ok=True)

    def _read_note(self) -> Note:
        nothing = Note(url="", validator="", total=0)
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            is_note = {key: type(value) for key, value in note.items()} == Note.__annotations__
        except (OSError, ValueError, AttributeError):
            return nothing
        return cast("Note", note) if is_note else nothing


def _validator(headers: Mapping[str, str]) -> str:
    """What tells two versions of a file apart; a weak ETag is not allowed to."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")
