"""What people decided about images that a model judged: the folder `data/feedback/<unit>`.

`decisions.csv` is a journal: rows are added and never changed. The last one about an image counts,
and `undone` takes back the one before it that was not yet taken back. `images/` holds the images,
named by the digest of their bytes; a LabelMe file of the same name beside one says where its
defects are.
"""

import csv
import errno
import fcntl
import hashlib
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from blemish.core.errors import UserError
from blemish.core.files import finished_file, sha256

FEEDBACK = Path("data/feedback")
SLICE = "feedback"  # of confirmed defects
JOURNAL, IMAGES = "decisions.csv", "images"
GOOD, DEFECT, UNSURE, UNDONE = "good", "defect", "unsure", "undone"
DECISIONS = (GOOD, DEFECT, UNSURE, UNDONE)
KIND = re.compile(r"[^\W_][\w .()-]{0,62}[\w)-]|[^\W_]")  # becomes a folder's name
NAME = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,5}")


@dataclass(frozen=True)
class Decision:
    """A row of the journal.

    image: its file in `images/`. defect: the kind, "" unless `decision` is "defect". decided: when,
    ISO 8601. score, threshold: of the model, as its table says. source: the image as that table
    names it.
    """

    image: str
    decision: str
    defect: str = ""
    decided: str = ""
    score: str = ""
    threshold: str = ""
    source: str = ""

    def fault(self) -> str:
        """What is wrong with the row, "" if nothing is."""
        if not NAME.fullmatch(self.image):
            return f"{self.image[:80]!r} is not the name of an image of this folder"
        if self.decision not in DECISIONS:
            return f"the decision {self.decision[:20]!r} is none of {', '.join(DECISIONS)}"
        return fault_of_kind(self.defect) if self.decision == DEFECT else ""


COLUMNS = tuple(field.name for field in fields(Decision))


def fault_of_kind(kind: str) -> str:
    """Why a kind of defect cannot be called so, "" if it can."""
    if kind == GOOD or not KIND.fullmatch(kind):
        return (
            f"a defect cannot be called {kind[:70]!r}: use up to 64 letters, digits, spaces and "
            ".-_(), and not `good`"
        )
    return ""


class Journal:
    """The decisions about a unit's images. Several processes and threads may add rows at once: each
    is whole on the disk when `add` returns, and a row that a kill tore is removed by the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / JOURNAL

    def rows(self) -> list[Decision]:
        """All rows, the oldest first; none where there is no journal.

        Raises UserError naming the line that is not of a journal.
        """
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserError(f"{self._file}: cannot be read ({error.strerror})") from None
        return self._parsed(_whole(content))

    def add(self, row: Decision) -> None:
        """Add a row. Raises UserError for what is no decision, or where it cannot be written."""
        if fault := row.fault():
            raise UserError(f"{self._file}: {fault}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._locked() as descriptor:
                end = _cut_torn_row(descriptor)
                text = b"" if end else _line(COLUMNS)
                _append(descriptor, end, text + _line(asdict(row).values()))
        except OSError as error:
            raise UserError(
                f"{self._file}: cannot be written ({error.strerror or error})"
            ) from None

    def keep(self, image: Path) -> str:
        """Copy an image into `images/`; its name there. The copy is whole or not there.

        Raises UserError where that cannot be done.
        """
        try:
            content = image.read_bytes()
            name = f"{hashlib.sha256(content).hexdigest()}{image.suffix.lower()}"
            target = self.folder / IMAGES / name
            if not target.exists():
                with finished_file(target) as temporary:
                    temporary.write_bytes(content)
        except OSError as error:
            raise UserError(f"{image}: cannot be kept ({error.strerror or error})") from None
        return name

    @contextmanager
    def _locked(self) -> Iterator[int]:
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def _parsed(self, content: bytes) -> list[Decision]:
        lines = csv.reader(io.StringIO(content.decode("utf-8", "replace")))
        head = next(lines, None)
        if head is not None and tuple(head) != COLUMNS:
            raise UserError(f"{self._file}: its first line is not {','.join(COLUMNS)}")
        found = []
        for number, line in enumerate(lines, 2):
            row = Decision(*line) if len(line) == len(COLUMNS) else None
            fault = row.fault() if row else f"{len(line)} values instead of {len(COLUMNS)}"
            if row is None or fault:
                raise UserError(f"{self._file}, row {number}: {fault}: correct or remove it")
            found.append(row)
        return found


def standing(rows: Sequence[Decision]) -> dict[str, list[int]]:
    """The numbers of each image's rows that are not taken back; the last one counts."""
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        stack = found.setdefault(row.image, [])
        if row.decision != UNDONE:
            stack.append(number)
        elif stack:
            stack.pop()
    return {name: stack for name, stack in found.items() if stack}


def latest(rows: Sequence[Decision]) -> dict[str, Decision]:
    """The decision that counts about each image, by its name."""
    return {name: rows[stack[-1]] for name, stack in standing(rows).items()}


@dataclass(frozen=True)
class Confirmed:
    """An image that a person called good or defective. outline: its LabelMe file, if it has one."""

    file: Path
    defect: str
    outline: Path | None


def described(folder: Path) -> dict[str, list[str]]:
    """What of a unit's feedback the next model follows from: image → its defect or `good`, and the
    digest of its LabelMe file, "" where it has none. Empty where nothing is confirmed."""
    found = {}
    for name, row in sorted(latest(Journal(folder).rows()).items()):
        if row.decision in (GOOD, DEFECT):
            outline = _outline(folder, name) if row.decision == DEFECT else None
            found[name] = [row.defect if row.decision == DEFECT else GOOD,
                           sha256(outline) if outline else ""]  # fmt: skip
    return found


def confirmed(folder: Path, listed: Mapping[str, Sequence[str]]) -> list[Confirmed]:
    """The images that `described` lists. Raises UserError for one whose file is missing."""
    found = []
    for name, (defect, outline) in listed.items():
        file = folder / IMAGES / name
        if not file.is_file():
            raise UserError(
                f"{file}: confirmed in {folder / JOURNAL}, but the image is missing: restore it, "
                "or remove its rows"
            )
        found.append(Confirmed(file, defect, _outline(folder, name) if outline else None))
    return found


def _outline(folder: Path, name: str) -> Path | None:
    file = (folder / IMAGES / name).with_suffix(".json")
    return file if file.is_file() else None


def _whole(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _cut_torn_row(descriptor: int) -> int:
    """Where the last whole row ends; what follows is removed."""
    with open(descriptor, "rb", closefd=False) as stream:
        stream.seek(0)
        end = len(_whole(stream.read()))
    os.ftruncate(descriptor, end)
    return end


def _append(descriptor: int, end: int, line: bytes) -> None:
    """All of a line, or nothing of it where the disk is full."""
    os.lseek(descriptor, end, os.SEEK_SET)
    try:
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def _line(values: object) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(
        str(value).replace("\n", " ").replace("\r", " ").replace("\0", " ")
        for value in values  # type: ignore[attr-defined]
    )
    return text.getvalue().encode("utf-8", "replace")
