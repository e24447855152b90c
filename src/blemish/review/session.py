"""What the review's page shows and tells: images, decisions, outlines. Nothing of the web."""

import io
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from PIL import Image

from blemish.core.errors import UserError
from blemish.core.files import finished_file, sha256
from blemish.images.feedback import (
    DECISIONS,
    DEFECT,
    IMAGES,
    UNDONE,
    Decision,
    Journal,
    fault_of_kind,
    standing,
)
from blemish.images.labelme import labelme_shapes
from blemish.images.reading import Levels, read_image
from blemish.review.judged import Judged, JudgedFolder


class Changed(UserError):
    """Something happened since the page was drawn: it must be drawn again."""


class Session:
    """A review of a unit's judged images.

    The journal on the disk is all that is remembered: a page that is opened again, a second one or
    a new process go on from there. levels: what is black and white in 16-bit images.
    """

    def __init__(
        self,
        unit: str,
        judged: JudgedFolder,
        feedback: Path,
        kinds: list[str],
        levels: Levels | None,
    ) -> None:
        self.unit = unit
        self._folder = judged
        self._journal = Journal(feedback)
        self._writing = Lock()  # a thread answers each request
        self._kinds = kinds
        self._levels = levels
        images = judged.read()
        self._images = {one.key: one for one in images}
        # By name first: only images that somebody decided on need their bytes read.
        names = {row.source for row in self._journal.rows()}
        self._digests = {one.key: sha256(one.file) for one in images if one.name in names}

    def images(self) -> list[dict[str, Any]]:
        """All images, the most doubtful first."""
        return [
            {"key": one.key, "name": one.name, "score": one.score, "threshold": one.threshold,
             "alarm": one.alarm}
            for one in self._images.values()
        ]  # fmt: skip

    def rows(self, since: int = 0) -> list[dict[str, Any]]:
        """The journal's rows from a number on, each with the `key` of its image, "" where that is
        not of this table."""
        keys = {(self._images[key].name, digest): key for key, digest in self._digests.items()}
        return [
            {"number": number, "decision": row.decision, "defect": row.defect,
             "key": keys.get((row.source, _digest_of(row)), "")}
            for number, row in enumerate(self._journal.rows()) if number >= since
        ]  # fmt: skip

    def kinds(self) -> list[str]:
        """The kinds of defects that are known, those of the unit first."""
        used = [row.defect for row in self._journal.rows() if row.defect]
        return list(dict.fromkeys([*self._kinds, *used]))

    def details(self, key: str) -> dict[str, Any]:
        """Of an image: its digest, size, whether it has an overlay, its outline and LabelMe's
        command. Raises UserError where it cannot be read."""
        one = self._image(key)
        digest = self._digests[key] = _sha256(one.file)
        height, width = read_image(one.file, self._levels).shape[:2]
        kept = self._kept(one, digest)
        outline = self._outline(one, kept)
        shapes, fault = _shapes(outline, (width, height))
        return {
            "digest": digest, "width": width, "height": height, "shapes": shapes, "fault": fault,
            "overlay": self._folder.overlay(one) is not None,
            "outline": str(outline) if outline else "",
            "command": f"labelme {shlex.quote(str(kept))}" if kept.is_file() else "",
        }  # fmt: skip

    def picture(self, key: str, overlay: bool) -> bytes:
        """The image, or its overlay, as PNG: whatever the file is, what is sent is a picture.

        Raises UserError where there is none.
        """
        one = self._image(key)
        path = self._folder.overlay(one) if overlay else one.file
        if path is None:
            raise UserError(f"{one.name}: has no overlay: judge with `--overlays`")
        stream = io.BytesIO()
        levels = None if overlay else self._levels
        Image.fromarray(read_image(path, levels)).save(stream, format="PNG", compress_level=1)
        return stream.getvalue()

    def decide(self, key: str, digest: str, decision: str, defect: str) -> None:
        """Keep the image and write the decision. Raises UserError where that cannot be done,
        Changed where the file is another one than was shown."""
        one = self._image(key)
        if decision not in DECISIONS or decision == UNDONE:
            raise UserError(f"{decision[:20]!r} is no decision")
        if decision == DEFECT and (fault := fault_of_kind(defect)):
            raise UserError(fault)
        with self._writing:
            if _sha256(one.file) != digest:
                raise Changed(f"{one.name}: is another image by now: look at it again")
            name = self._journal.keep(one.file)
            self._digests[key] = digest
            if decision == DEFECT:
                self._copy_draft(one, self._journal.folder / IMAGES / name)
            self._add(one, Decision(name, decision, defect if decision == DEFECT else ""))

    def undo(self, key: str, number: int) -> None:
        """Take back the decision in the journal's row `number`: what counted before counts again.

        Raises Changed where somebody has decided on the image since.
        """
        one, rows = self._image(key), self._journal.rows()
        if not 0 <= number < len(rows) or rows[number].source != one.name:
            raise Changed(f"{one.name}: the journal has no such row any more")
        name = rows[number].image
        if standing(rows).get(name, [-1])[-1] != number:
            raise Changed(f"{one.name}: was decided again since, maybe in another window")
        self._add(one, Decision(name, UNDONE))

    def _add(self, one: Judged, row: Decision) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        facts = {"decided": now, "score": repr(one.score), "threshold": repr(one.threshold),
                 "source": one.name}  # fmt: skip
        self._journal.add(Decision(**(asdict(row) | facts)))

    def _image(self, key: str) -> Judged:
        try:
            return self._images[key]
        except KeyError:
            raise Changed("this image is not in the table: load the page again") from None

    def _kept(self, one: Judged, digest: str) -> Path:
        return self._journal.folder / IMAGES / f"{digest}{one.file.suffix.lower()}"

    def _outline(self, one: Judged, kept: Path) -> Path | None:
        """The LabelMe file that counts: a corrected one beside the kept image, else the draft."""
        corrected = kept.with_suffix(".json")
        return corrected if corrected.is_file() else self._folder.draft(one)

    def _copy_draft(self, one: Judged, kept: Path) -> None:
        """Start LabelMe's file beside a kept image with what was predicted; one that is there, or
        a draft that is damaged, changes nothing."""
        draft, target = self._folder.draft(one), kept.with_suffix(".json")
        height, width = read_image(one.file, self._levels).shape[:2]
        if draft is None or target.exists() or _shapes(draft, (width, height))[1]:
            return
        content = json.loads(draft.read_text(encoding="utf-8"))
        with finished_file(target) as temporary:
            text = json.dumps(content | {"imagePath": kept.name, "imageData": None}, indent=2)
            temporary.write_text(text + "\n", encoding="utf-8")


def _shapes(file: Path | None, size: tuple[int, int]) -> tuple[list[Mapping[str, Any]], str]:
    """The shapes of a LabelMe file for an image of `size` (width, height), and what is wrong."""
    try:
        shapes = labelme_shapes(file, size) if file else []
    except UserError as error:
        return [], str(error)
    return [{"label": shape.label, "values": _corners(shape.values)} for shape in shapes], ""


def _corners(values: list[float]) -> list[float]:
    """x, y, x, y …; a rectangle has two of its four."""
    if len(values) != 4:
        return values
    left, top, right, bottom = values
    return [left, top, right, top, right, bottom, left, bottom]


def _digest_of(row: Decision) -> str:
    return row.image.partition(".")[0]


def _sha256(file: Path) -> str:
    try:
        return sha256(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
