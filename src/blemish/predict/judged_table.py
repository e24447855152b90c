"""The table of a watched folder: what was judged, and so the memory of which images are done."""

import csv
import errno
import fcntl
import io
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from blemish.core.errors import UserError
from blemish.predict.arrivals import Version

COLUMNS = (
    *("image", "bytes", "modified_ns", "judged", "score", "decision", "threshold", "regions"),
    *("area", "map_maximum", "width", "height", "zone_alarms", "error"),
)


class JudgedTable:
    """A CSV to which rows are added, each whole or not at all, and by one process at a time.

    done: the versions of files that have a row. A row that a kill or a power cut tore is removed
    when the table is opened again, and its image judged again.

    Raises UserError for a file that is no such table, that another process writes to, or that
    cannot be written.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.done = self._opened()
        except BlockingIOError:
            self.close()
            raise UserError(f"{file}: another `blemish watch` writes to it: end that one") from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let others write."""
        os.close(self._descriptor)

    def add(self, version: Version, values: Mapping[str, Any]) -> None:
        """Add the row of a file: `values` by the names of columns."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        row = version._asdict() | {"image": version.name, "judged": now} | dict(values)
        self._append([row.get(column, "") for column in COLUMNS])
        self.done.add(version)

    def flush(self) -> None:
        """Have the rows on the disk, where they outlast a power cut."""
        os.fsync(self._descriptor)

    def _opened(self) -> set[Version]:
        with open(self._descriptor, "rb", closefd=False) as stream:
            content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]
        if not whole and _line(COLUMNS).startswith(content):  # new, or killed at its first line
            os.ftruncate(self._descriptor, 0)
            self._append(COLUMNS)
            return set()
        rows = list(csv.reader(io.StringIO(whole.decode("utf-8", "replace"))))
        if not rows or tuple(rows[0]) != COLUMNS:
            raise self._foreign("its first line")
        try:
            done = {Version(row[0], int(row[1]), int(row[2])) for row in rows[1:]}
        except (ValueError, IndexError):
            raise self._foreign("one of its rows") from None
        os.ftruncate(self._descriptor, len(whole))
        return done

    def _foreign(self, what: str) -> UserError:
        return UserError(f"{self.file}: {what} is not of `blemish watch`: name another table")

    def _append(self, values: Any) -> None:
        """All of a row, or nothing of it where the disk is full."""
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        line = _line(values)
        try:
            if os.write(self._descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            os.ftruncate(self._descriptor, end)
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(f"{self.file}: cannot be written ({error.strerror or error})")


def _line(values: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
