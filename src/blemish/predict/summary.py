"""What a run of `blemish predict` says at its end, in lines or as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from blemish.images.framing import partly_seen
from blemish.methods.saved import Record
from blemish.methods.zone_rules import ZoneRule
from blemish.metrics.threshold import threshold_note
from blemish.predict.outputs import Row
from blemish.predict.verdict import Rules


@dataclass
class Tally:
    """Counts of what was predicted, and why some images could not be read."""

    images: int = 0
    alarms: int = 0
    regions: int = 0
    unreadable: list[str] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)  # share of each image that was judged

    def add(self, row: Row, seen: float) -> None:
        self.seen.append(seen)
        self.images += 1
        self.alarms += row["decision"]
        self.regions += row["regions"]


@dataclass(frozen=True)
class Summary:
    """kept: LabelMe files that were there. zone_notes: what must be said of zones. drift: what was
    said of it."""

    record: Record
    rules: Rules
    tally: Tally
    kept: int
    zone_notes: Sequence[str]
    drift: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """The summary's keys; `zones` and `notes` only where there are any."""
        tally, zones = self.tally, {rule.name: _stated(rule) for rule in self.rules.zones}
        return {
            "unit": self.record.unit,
            "method": self.record.method,
            "seed": self.record.seed,
            "threshold": self.rules.threshold,
            "map_threshold": self.rules.map_threshold,
            "images": tally.images,
            "alarms": tally.alarms,
            "regions": tally.regions,
            "labelme_kept": self.kept,
            "unreadable": tally.unreadable,
            "least_seen": min(tally.seen, default=1.0),
            **({"zones": zones} if zones else {}),
            **({"notes": list(self.zone_notes)} if self.zone_notes else {}),
            **({"drift": list(self.drift)} if self.drift else {}),
        }

    def lines(self, false_alarm_rate: float, given: tuple[float | None, float | None]) -> list[str]:
        """Sentences for people; given: the thresholds of scores and maps that the user gave."""
        notes: list[str | None] = [*partly_seen(self.tally.seen), *self.zone_notes, *self.drift]
        if None in given:
            notes += self._threshold_notes(false_alarm_rate)
        if self.kept:
            notes.append(
                f"{self.kept} LabelMe file(s) were there and are kept; --overwrite replaces them."
            )
        if self.tally.unreadable:
            count = len(self.tally.unreadable)
            notes.append(f"{count} image(s) could not be read and are skipped.")
        return [self._headline(given), *filter(None, notes)]

    def _headline(self, given: tuple[float | None, float | None]) -> str:
        """How many alarms and regions there are, and what both are above."""
        limits = [f" (score above {self.rules.threshold:.4g})",
                  f" (map above {self.rules.map_threshold:.4g})"]  # fmt: skip
        if self.rules.zones:
            said = ", ".join(rule.said for rule in self.rules.zones)
            limits = [
                f" (by zone: {said})" if given[0] is None else limits[0],
                "" if given[1] is None else limits[1],
            ]
        return (
            f"{self.tally.images} images by {self.record.method} of {self.record.unit}: "
            f"{self.tally.alarms} alarms{limits[0]}, {self.tally.regions} regions{limits[1]}"
        )

    def _threshold_notes(self, rate: float) -> list[str | None]:
        if self.rules.zones:
            return [note for rule in self.rules.zones for note in rule.notes]
        return [threshold_note(len(self.record.validation.normal_scores), rate)]


def _stated(rule: ZoneRule) -> dict[str, float]:
    """What the summary says of a zone."""
    facts = asdict(rule)
    del facts["name"], facts["normals"]
    return facts
