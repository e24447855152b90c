"""What a full run at the published settings costs, from the step times that the proof measured.

A training costs its steps, a fixed part for what comes before and after them, and the scoring of
its test set, its validation normals and the rendered sets of `profiles/paper.yaml`. Downloading,
preparing, rendering and the measuring of finished maps are the CPU's and not counted.
"""

import heapq
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from blemish.datasets.dataset import data_set
from gpu_proof.settings import PUBLISHED, params_of

SETS = {"mvtec": "MVTec AD", "visa": "VisA", "mpdd": "MPDD"}
CARDS = (1, 8)
KEPT = 0.85  # of the training normals: the rest are the validation normals
RENDERED = 200 + 7 * 100  # pictures of profiles/paper.yaml: validation, and seven weak sets
MIB = 1024


class Unit(NamedTuple):
    """A category: its training normals, those held out, and its test images."""

    name: str
    train: int
    held_out: int
    test: int


def table(results: dict[str, Any]) -> str:
    """Hours and memory of each method and data set, in Markdown, and the command of each set."""
    measured = results["items"]
    lines = [
        f"Measured on {results['machine']['device']}, {results['machine']['day']}.\n",
        "| method | GPU memory | " + " | ".join(_columns()) + " |",
        "|---|---|" + "---|" * (len(SETS) * len(CARDS)),
    ]
    gaps = []
    for method in PUBLISHED:
        found = measured.get(f"c/epochs/{method}", {}).get("figures")
        if found is None:
            gaps.append(method)
            continue
        hours = [_shown(hours_of(method, found, name, cards)) for name in SETS for cards in CARDS]
        lines.append(f"| {method} | {_memory(found['peak_mib'])} | " + " | ".join(hours) + " |")
    if gaps:
        lines.append(f"\nNot measured: {', '.join(gaps)}.")
    return "\n".join([*lines, "", "```", *map(command, SETS), "```"])


def units_of(name: str) -> list[Unit]:
    """The categories of a data set, by its published counts."""
    counts = data_set(name, {}).expected
    return [
        Unit(
            f"{name}/{category}",
            round(KEPT * of["train"]),
            of["train"] - round(KEPT * of["train"]),
            of["test_good"] + of["test_defective"],
        )
        for category, of in counts.items()
        if category
    ]


def hours_of(method: str, found: dict[str, Any], name: str, cards: int) -> float:
    """Of all categories of a data set on some cards, one training on each at a time."""
    return makespan((seconds_of(method, found, unit) for unit in units_of(name)), cards) / 3600


def seconds_of(method: str, found: dict[str, Any], unit: Unit) -> float:
    """Of one category. found: the figures of `Speed.epochs`."""
    images = unit.test + unit.held_out + RENDERED
    scoring = images * found["score_seconds_an_image"]
    if method == "patchcore":  # its coreset looks at pairs of patches, so at most
        return scoring + found["fit_seconds"] * max(1.0, (unit.train / found["images"])) ** 2
    steps = steps_of(method, unit.train)
    return scoring + sum(count * found["seconds_a_step"][phase] for phase, count in steps)


def steps_of(method: str, images: int) -> Iterator[tuple[str, float]]:
    """The steps of each phase of a published training, of so many images."""
    p = params_of(method, {})
    most = p.images_per_epoch or images
    batches = min(math.ceil(images / p.batch_size), most // p.batch_size + 1)
    if method != "dsarad":
        yield "train", p.epochs * batches
        return
    batches = max(1, images // p.batch_size)
    # The measured phase has one pass of the teacher to each epoch of the student; a teacher's step
    # is what that takes more than the student alone.
    first, passes = p.first_epochs, p.passes
    yield "teacher and student", first * passes * batches
    yield "student", (p.epochs - first * passes) * batches


def makespan(seconds: Iterator[float], cards: int) -> float:
    """When the last of some trainings ends that are given to the first free card, longest first."""
    free = [0.0] * cards
    for each in sorted(seconds, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + each)
    return max(free)


def command(name: str) -> str:
    """What runs a data set on eight cards."""
    units = ",".join(unit.name for unit in units_of(name))
    methods = ",".join(PUBLISHED)
    return (
        f"blemish profile paper && blemish run --gpus 0,1,2,3,4,5,6,7 -S 'units=[{units}]' "
        f"-S 'methods=[{methods}]'"
    )


def _columns() -> list[str]:
    cards = {1: "1 card", 8: "8 cards"}
    return [f"{title}, {cards[count]}" for title in SETS.values() for count in CARDS]


def _shown(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 0.1 else f"{60 * hours:.1f} min"


def _memory(mib: float | None) -> str:
    return "–" if mib is None else f"{mib / MIB:.1f} GiB"
