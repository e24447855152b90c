"""`blemish watch`: judge the images of a folder as they come, each once, until told to end."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from blemish.core.errors import UserError
from blemish.core.files import unfinished
from blemish.predict.arrivals import Arrivals, Waiting, version_of
from blemish.predict.drift import Drift
from blemish.predict.judged_table import JudgedTable
from blemish.predict.outputs import Pictures, row_of
from blemish.predict.stream import Prediction, Unreadable, predict_each
from blemish.predict.trained import TrainedDetector, open_detector
from blemish.predict.zones import ZoneSource, open_zones

LOOKS = 4  # at the folder while a file rests
SHORTEST, LONGEST = 0.1, 1.0  # s between looks


@dataclass(frozen=True)
class Watch:
    """The options of the command. aside: where files go that cannot be read."""

    model: Path
    folder: Path
    table: Path
    overlays: Path | None
    aside: Path
    rest: float
    once: bool
    device: str
    false_alarm_rate: float

    def run(self) -> None:
        """Watch until SIGTERM or SIGINT, or, with `once`, until all that is there is done.

        Raises UserError before the first image for what cannot be used; later where the disk is
        full, or the model gives NaN. What has a row in the table then is done.
        """
        if not self.folder.is_dir():
            raise UserError(f"{self.folder}: no such folder")
        detector = open_detector(self.model, self.device, false_alarm_rate=self.false_alarm_rate)
        outputs, overlays = [self.aside], None
        if self.overlays:
            outputs.append(self.overlays)
            for left in unfinished(self.overlays):  # of a process that was killed
                left.unlink()
            level = detector.record.validation.map_level
            overlays = Pictures.by(detector.rules, level, self.overlays, over_image=True)
        arrivals = Arrivals(self.folder, outputs, self.rest)
        drift = Drift.of(detector.record, detector.rules)
        zones = open_zones(None, self.model, detector.record, [])
        work = _Work(self, detector, zones, overlays, drift)
        with JudgedTable(self.table) as table, _ended_by_signals() as ended:
            while not ended.is_set():
                ready = arrivals.look(time.monotonic(), table.done)
                work.judge(ready, table, ended)
                if self.once and arrivals.is_quiet():
                    return
                if not ready:
                    ended.wait(min(LONGEST, max(SHORTEST, self.rest / LOOKS)))


@dataclass(frozen=True)
class _Work:
    watch: Watch
    detector: TrainedDetector
    zones: ZoneSource
    overlays: Pictures | None
    drift: Drift

    def judge(self, ready: list[Waiting], table: JudgedTable, ended: threading.Event) -> None:
        """Judge files in their order; the row in the table is what makes one done."""
        sources = [one.source for one in ready]
        with closing(predict_each(self.detector, sources, self.zones.of)) as results:
            for one, result in zip(ready, results, strict=False):
                self._finish(one, result, table)
                if ended.is_set():
                    break
        if ready:
            table.flush()

    def _finish(self, one: Waiting, result: Prediction | Unreadable, table: JudgedTable) -> None:
        if version_of(one.source.path, self.watch.folder) != one.version:
            return  # written to while it was read, or taken away: the next look sees what is there
        if isinstance(result, Prediction):
            if self.overlays:
                self.overlays(result)
            row = row_of(result)
            table.add(one.version, {**row, "image": one.version.name})
            print(f"{'alarm' if row['decision'] else '-':5}  {row['score']:<10.5g}  "
                  f"{row['regions']:3} region(s)  {one.version.name}", flush=True)  # fmt: skip
            if line := self.drift.add(one.version.name, result.verdict):
                print(line, file=sys.stderr, flush=True)
        elif not one.tried:
            one.tried = True
        else:
            self._set_aside(one, result.reason, table)

    def _set_aside(self, one: Waiting, reason: str, table: JudgedTable) -> None:
        """Move a file that cannot be read out of the way; where that fails, it stays, as done."""
        target = _free(self.watch.aside / Path(one.source.path).relative_to(self.watch.folder))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            one.source.path.rename(target)
            where = f"moved to {target}"
        except OSError as error:
            where = f"cannot be moved to {target} ({error.strerror or error})"
        table.add(one.version, {"error": reason})
        print(f"set aside: {reason}; {where}", file=sys.stderr, flush=True)


def _free(target: Path) -> Path:
    """A path at which nothing is: `target`, or one with a number."""
    number, path = 1, target
    while path.exists():
        number += 1
        path = target.with_name(f"{target.stem}-{number}{target.suffix}")
    return path


@contextmanager
def _ended_by_signals() -> Iterator[threading.Event]:
    """What SIGTERM and SIGINT set, so that the image in work is finished."""
    ended = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: ended.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
