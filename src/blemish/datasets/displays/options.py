"""What can be rendered, and how many of each: plain values that params.yaml repeats."""

from dataclasses import dataclass

CATEGORIES = ("grey", "white", "black", "red", "green", "blue", "gradient", "checker", "text")

# Defective test images of AnoLCD by type (docs/spec/dlas-net.md §0): the mix that is kept here.
ANOLCD_COUNTS = {"spot": 250, "line": 150, "mura": 50, "scratch": 100, "cylinder": 200}
DEFECTS = tuple(ANOLCD_COUNTS)


@dataclass(frozen=True)
class LcdsimOptions:
    """How a set of displays is rendered.

    train, test_good, test_defective: numbers of images; the defective ones are spread over
    `DEFECTS`. size: side of the picture in camera pixels; the magnification stays, so a smaller
    picture shows a smaller part of the display. contrast: multiplies the visibility of every
    defect; 1 runs from barely visible to clear.
    """

    train: int = 60
    test_good: int = 30
    test_defective: int = 30
    size: int = 1000
    seed: int = 0
    contrast: float = 1.0


def defect_counts(total: int) -> dict[str, int]:
    """Spread `total` defective images over the types in AnoLCD's proportions.

    Largest remainders; every type gets at least one as soon as there are as many images as types.
    """
    floor = 1 if total >= len(DEFECTS) else 0
    share = {
        name: total * count / sum(ANOLCD_COUNTS.values()) for name, count in ANOLCD_COUNTS.items()
    }
    counts = {name: max(floor, int(share[name])) for name in DEFECTS}
    while sum(counts.values()) < total:
        counts[max(DEFECTS, key=lambda name: share[name] - counts[name])] += 1
    while sum(counts.values()) > total:
        counts[max(DEFECTS, key=lambda name: counts[name] - share[name])] -= 1
    return counts
