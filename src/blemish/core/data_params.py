"""The section `data` of params.yaml: where data comes from, how it is split, zones on images."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from blemish.core.section import Count, Fraction, Section, Seed

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
ZoneName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
IGNORE = "ignore"  # the zone that is never judged and never counted
REST = "rest"  # what of an image is in no zone
MOST_ZONES = 20  # of a unit, beside `ignore`
# Folders of a prepared unit: in the folder of zones they hold the files of single images.
RESERVED = ("train", "test")


def _black_below_white(levels: list[int]) -> list[int]:
    if len(levels) != 2 or not 0 <= levels[0] < levels[1] <= 65535:
        raise ValueError(f"{levels}: give black and white, such as [0, 4095]")
    return levels


Levels = Annotated[list[int], AfterValidator(_black_below_white)]


class UnitFraming(Section):
    """How all methods see a unit's images; what is None each method decides."""

    resize: Literal["auto", "squash", "crop", "fit", "tiles"] | None = None
    scale: Annotated[float, Field(gt=0, le=16)] | None = None


class LcdsimParams(Section):
    """How displays are rendered for the units `lcdsim/*`."""

    train: Count = 60
    test_good: Count = 30
    test_defective: Count = 30
    size: Annotated[int, Field(ge=96, le=4096)] = 1000
    seed: Seed = 0
    contrast: Annotated[float, Field(gt=0, le=10)] = 1.0


class Tolerance(Section):
    """What a zone puts up with.

    false_alarm_rate: the share of good images that may be called defective for this zone; None is
    the evaluation's. min_area: pixels of the original image; smaller regions count as nothing.
    """

    false_alarm_rate: Fraction | None = None
    min_area: Annotated[int, Field(ge=0)] = 0


def _can_be_zones(zones: dict[str, Tolerance]) -> dict[str, Tolerance]:
    if zones.get(IGNORE, Tolerance()) != Tolerance():
        raise ValueError(
            f"`{IGNORE}` is never judged, so it has no tolerance: write {IGNORE}: {{}}"
        )
    reserved = next((name for name in (*RESERVED, REST) if name in zones), None)
    if reserved:
        raise ValueError(f"a zone cannot be called `{reserved}`: choose another name")
    count = len(zones.keys() - {IGNORE})
    if count > MOST_ZONES:
        raise ValueError(f"{count} zones, more than {MOST_ZONES}: let alike parts share a zone")
    return zones


Zones = Annotated[dict[ZoneName, Tolerance], AfterValidator(_can_be_zones)]


def _is_share_or_types(value: object) -> object:
    share = isinstance(value, float) and 0 < value < 1
    types = isinstance(value, list) and value and all(isinstance(name, str) for name in value)
    if not (share or types):
        raise ValueError(f"{value!r}: give a share between 0 and 1, or a list of defect types")
    return value


# Of a unit's real defects, those set apart for choosing: a share of each type, or whole types.
Selection = Annotated[float | list[str], BeforeValidator(_is_share_or_types)]


class DataParams(Section):
    """Where data comes from and how it is split; `zones`: unit → zone → tolerance;
    `framing`: how all methods see a unit; `selection`: unit → real defects for choosing."""

    split_seed: Seed = 0
    validation_fraction: Fraction = 0.15
    test_fraction: Fraction = 0.2
    folders: dict[Name, str] = Field(default={})
    foreground: list[str] = Field(default=[])
    zones: dict[str, Zones] = Field(default={})
    framing: dict[str, UnitFraming] = Field(default={})
    selection: dict[str, Selection] = Field(default={})
    levels: dict[str, Levels] = Field(default={})
    store_gib: Annotated[float, Field(ge=0)] = 20.0
    lcdsim: LcdsimParams = LcdsimParams()

    def levels_of(self, unit: str) -> tuple[int, int] | None:
        """Black and white of a unit's 16-bit images, given for it or for its whole data set."""
        given = self.levels.get(unit) or self.levels.get(unit.partition("/")[0])
        return (given[0], given[1]) if given else None
