"""The part of every method's parameters that says how its network sees images.

Light, as all parameters: what they mean for a unit's images is in `view`.
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from blemish.core.params import Count, Section, UnitFraming


class ViewParams(Section):
    """The part of a method's section that says how its network sees images.

    image_size: pixels a side of the square, or of a window; with "fit" of a square of equal area.
    scale: of "tiles", pixels of a window for one of the image. overlap: the share of a window's
    side that it has in common with its neighbour at least. windows: how many of them training cuts
    from all images together; None is as many as cover them. vary_light, vary_place: see
    `methods.variation` (ours).
    """

    STEP: ClassVar[int] = 32
    AUTO_TILES: ClassVar[bool] = True  # whether "auto" may choose windows

    image_size: int
    resize: Literal["auto", "squash", "crop", "fit", "tiles"]
    scale: Literal["auto"] | Annotated[float, Field(gt=0, le=16)] = "auto"
    overlap: Annotated[float, Field(ge=0, le=0.75)] = 0.25
    windows: Count | None = None
    vary_light: Annotated[float, Field(ge=0, le=1)] = 0.0
    vary_place: Annotated[float, Field(ge=0, le=0.2)] = 0.0

    @property
    def step(self) -> int:
        """What height and width of a network's input are multiples of."""
        return self.STEP

    @property
    def cut_off(self) -> float:
        """How many times `image_size` the shorter side is, of which "crop" keeps the centre."""
        return 1.0

    @property
    def no_tiles(self) -> str | None:
        """Why the method cannot look through windows; None where it can."""
        return None

    @model_validator(mode="after")
    def _takes_tiles(self) -> Self:
        if self.resize == "tiles" and self.no_tiles:
            raise ValueError(f"`resize: tiles` does not go with {self.no_tiles}")
        return self

    def asked(self, unit: UnitFraming) -> Self:
        """With what a unit asks of all methods in its place. Raises ValueError where it cannot."""
        changes = unit.model_dump(exclude_none=True)
        return self if not changes else type(self).model_validate(self.model_dump() | changes)
