"""The metrics: every one that is measured, stored and shown is an entry of `TABLE`.

A new metric is one more entry. `measured` then computes it for a test set and for its bootstrap
draws, and metrics.json, the leaderboard, the summary, the terminal, the page and MLflow have it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Flag, auto
from typing import Literal

from blemish.metrics import curves
from blemish.metrics.curves import Numbers, Ranking


class Place(Flag):
    """Where a metric is shown besides metrics.json, the leaderboard and MLflow, which have all."""

    SUMMARY = auto()  # metrics/summary.json, that is `dvc exp show`, and a narrow terminal
    TERMINAL = auto()  # the leaderboard in a wide terminal
    METHOD = auto()  # the line on the page that opens a method's details
    DETAIL = auto()  # by defect type, slice and area
    VALIDATION = auto()  # of the synthetic validation set
    COMPARED = auto()  # tested for whether methods differ by chance alone


NOWHERE = Place(0)


@dataclass(frozen=True)
class Metric:
    """One metric; all lie in [0, 1].

    Args:
        name: what is ranked, "image" or "pixel", and the metric; of JSON, MLflow and all tables.
        heading: the name in print, above a column.
        of: takes a ranking (of one test set, or of many draws) and the limit to the number, or
            None where it is undefined.
        shown: see `Place`.
        limit: the false-positive rate up to which it is usually integrated, if it is.
        further_limits: others; metrics.json has one number for each, `pixel_spro_0.01`.
        needs: the field of the ranking without which there is no number at all, not even None.
    """

    name: str
    heading: str
    of: Callable[[Ranking, float], Numbers | None]
    shown: Place = NOWHERE
    higher_is_better: bool = True
    format: str = ".3f"
    limit: float = 1.0
    further_limits: tuple[float, ...] = ()
    needs: Literal["channels", "aupimo"] | None = None

    @property
    def kind(self) -> str:
        """What is ranked: "image" or "pixel"."""
        return self.name.partition("_")[0]

    @property
    def needs_masks(self) -> bool:
        """Whether units without masks lack it."""
        return self.kind == "pixel"

    def named(self, limit: float) -> str:
        """The name of its number for a limit: an unusual one is part of it."""
        return self.name if limit == self.limit else f"{self.name}_{limit:g}"


def _any_limit(function: Callable[[Ranking], Numbers | None]) -> Callable[..., Numbers | None]:
    return lambda ranking, _: function(ranking)


_AUROC, _AP, _F1MAX, _FPR95, _AUPIMO = map(
    _any_limit,
    (
        *(curves.auroc, curves.average_precision, curves.f1max, curves.fpr_at_tpr),
        curves.mean_aupimo,
    ),
)
_MAIN = Place.TERMINAL | Place.METHOD | Place.DETAIL | Place.VALIDATION
_FIRST = _MAIN | Place.SUMMARY | Place.COMPARED
_ENTRIES = (
    Metric("image_auroc", "AUROC", _AUROC, _FIRST),
    Metric("image_ap", "AP", _AP, Place.TERMINAL),
    Metric("image_f1max", "F1max", _F1MAX, Place.SUMMARY | Place.TERMINAL | Place.METHOD),
    Metric("image_fpr95", "FPR95", _FPR95, higher_is_better=False),
    Metric("pixel_auroc", "AUROC", _AUROC, _MAIN),
    Metric("pixel_ap", "AP", _AP, Place.TERMINAL),
    Metric("pixel_f1max", "F1max", _F1MAX),
    Metric("pixel_fpr95", "FPR95", _FPR95, higher_is_better=False),
    Metric("pixel_aupro", "AUPRO", curves.aupro, _FIRST, limit=0.3),
    Metric("pixel_aupimo", "AUPIMO", _AUPIMO, Place.DETAIL, needs="aupimo"),
    Metric(
        "pixel_spro",
        "sPRO",
        curves.auspro,
        Place.DETAIL,
        limit=0.05,
        further_limits=(0.01, 0.1, 0.3, 1.0),
        needs="channels",
    ),
)
TABLE: dict[str, Metric] = {metric.name: metric for metric in _ENTRIES}  # in the order of columns
GLASS_PRO = "pixel_pro_glass"  # only among protocol `paper`'s numbers: `docs/spec/glass.md` §13


def measured(
    kind: str, ranking: Ranking, limits: Mapping[str, float] | None = None
) -> dict[str, Numbers | None]:
    """The numbers of all metrics of a kind, "image" or "pixel"; None where one is undefined.

    limits: other limits than the usual one, by metric.
    """
    numbers = {}
    for metric in TABLE.values():
        missing = metric.needs is not None and getattr(ranking, metric.needs) is None
        if metric.kind == kind and not missing:
            for limit in ((limits or {}).get(metric.name, metric.limit), *metric.further_limits):
                numbers[metric.named(limit)] = metric.of(ranking, limit)
    return numbers


def as_floats(numbers: Mapping[str, Numbers | None]) -> dict[str, float | None]:
    """The numbers of a single ranking."""
    return {name: None if value is None else float(value) for name, value in numbers.items()}


def metric_of(name: str) -> Metric | None:
    """The metric whose number is named so, for the usual or another limit; None: not in TABLE."""
    base, _, limit = name.rpartition("_")
    limited = base in TABLE and limit.replace(".", "", 1).isdigit()
    return TABLE.get(base if limited else name)


def is_in(name: str, place: Place) -> bool:
    """Whether a number is shown in a place; unknown ones are in none."""
    metric = metric_of(name)
    return metric is not None and place in metric.shown


def is_further(name: str) -> bool:
    """Whether a number is one of many limits of its metric, too many for a column each."""
    metric = metric_of(name)
    return metric is not None and name in map(metric.named, metric.further_limits)


def heading(name: str) -> str:
    """A number's column heading without its kind; an unusual limit is stated: AUPRO@0.05."""
    metric = metric_of(name)
    if metric is None:
        return name
    limit = name.removeprefix(metric.name).removeprefix("_")
    return f"{metric.heading}@{limit}" if limit else metric.heading


def title(name: str) -> str:
    """A number's name in a sentence or a list: Image AUROC."""
    return f"{name.partition('_')[0].capitalize()} {heading(name)}"


def shown_in(place: Place, present: Iterable[str]) -> list[str]:
    """The numbers of a place, in the order of TABLE: those present of a metric, by any limit.

    A metric of which none is present keeps its usual name.
    """
    numbers = sorted(present)
    shown: list[str] = []
    for metric in TABLE.values():
        if place in metric.shown:
            shown += [name for name in numbers if metric_of(name) is metric] or [metric.name]
    return shown
