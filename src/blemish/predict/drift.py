"""Whether images and their scores are still like the validation normals'.

Images come in windows of `WINDOW`. In each, five samples are compared with those of the validation
normals: the four looks of the images (`images.looks`), and the scores of those that are no alarms
with the normals' scores below the threshold, so that a few defects more or less are no drift. The
test is that of Kolmogorov and Smirnov, exact for small samples; a window drifts where any of the
five has a p-value below `RATE` / 5. Undisturbed images then raise no more than one alarm in a
hundred windows, by Bonferroni's inequality.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.stats import ks_2samp

from blemish.images.looks import LOOKS
from blemish.methods.saved import Record
from blemish.predict.verdict import Rules, Verdict

WINDOW = 50  # images
RATE = 0.01  # of undisturbed windows that may be called drifted
SCORES = "scores"
DIRECTIONS = {**LOOKS, SCORES: ("higher scores", "lower scores")}


class Judged(NamedTuple):
    """What is kept of an image's verdict; its map may be large."""

    name: str
    score: float
    looks: Mapping[str, float]


class Difference(NamedTuple):
    """In what a window differs: one of `DIRECTIONS`, its median, the usual one, the p-value."""

    name: str
    now: float
    usual: float
    p: float

    def __str__(self) -> str:
        higher, lower = DIRECTIONS[self.name]
        word = higher if self.now > self.usual else lower
        return f"{word} ({self.name} {self.now:.4g}, usually {self.usual:.4g}; p {self.p:.1g})"


@dataclass
class Drift:
    """Watches a stream of verdicts.

    usual: of the validation normals, the numbers of each of `LOOKS`, and their `scores`; what is
    empty is not compared. rules: with their threshold, above which an image is an alarm.
    """

    usual: Mapping[str, Sequence[float]]
    rules: Rules
    since: str | None = None  # the first image of the first drifted window, while it drifts
    lines: list[str] = field(default_factory=list)  # all that was said
    _window: list[Judged] = field(default_factory=list)

    @classmethod
    def of(cls, record: Record, rules: Rules) -> "Drift":
        """Against what a model knows of its validation normals."""
        return cls({**record.looks, SCORES: record.validation.normal_scores}, rules)

    def add(self, name: str, verdict: Verdict) -> str | None:
        """Take the verdict on the image `name`; a line where drift begins, changes or ends."""
        self._window.append(Judged(name, verdict.score, verdict.looks))
        if len(self._window) < WINDOW:
            return None
        window, self._window = self._window, []
        line = self._said(window[0].name, self.differences(window))
        self.lines += [line] if line else []
        return line

    def _said(self, first: str, found: list[Difference]) -> str | None:
        if found:
            began = self.since is None
            self.since = self.since or first
            return f"drift since {self.since}: {', '.join(map(str, found))}" if began else None
        if self.since is None:
            return None
        line = f"no drift any more since {first} (it began at {self.since})"
        self.since = None
        return line

    def differences(self, window: Sequence[Judged]) -> list[Difference]:
        """In what a window differs from the validation normals, the surest first."""
        quiet = [one.score for one in window if one.score <= self.rules.threshold]
        samples = {name: [one.looks[name] for one in window if one.looks] for name in LOOKS}
        samples[SCORES] = quiet
        usual = dict(self.usual)
        usual[SCORES] = [score for score in usual.get(SCORES, ()) if score <= self.rules.threshold]
        found = []
        for name, now in samples.items():
            if now and usual.get(name):
                p = float(ks_2samp(now, usual[name], method="auto").pvalue)
                if p < RATE / len(samples):
                    medians = (float(np.median(now)), float(np.median(usual[name])))
                    found.append(Difference(name, *medians, p))
        return sorted(found, key=lambda difference: difference.p)
