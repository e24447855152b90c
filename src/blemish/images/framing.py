"""The way between an image and what a network sees of it, and back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

if TYPE_CHECKING:  # a program that scores needs no tables
    import pandas as pd

Resize = Literal["squash", "crop", "fit", "tiles"]
ALMOST_ALL = 0.95  # of an image, which is not worth a word
LARGEST_SIDE = 8192  # pixels of what a network sees at once

Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
T = TypeVar("T", bound=np.generic)
Size = tuple[int, int]  # height and width in pixels


class Place(NamedTuple):
    """Where an image comes to lie: it is resized, and laid into a frame with its upper left corner
    at (top, left). Negative: that much is cut off. The rest of the frame is filled by reflection.
    """

    resized: Size
    frame: Size
    top: int
    left: int


@dataclass(frozen=True)
class Framing:
    """How an image becomes what a network sees at once, height×width pixels.

    "squash" resizes to that, whatever the aspect. "crop" resizes the shorter side to it and keeps
    the centre, as the published GLASS does (the borders are not seen); `enlarge` times as large, so
    that less is seen. "fit" keeps the aspect: the image is made as large as fits. "tiles" resizes
    by `scale` and looks through windows that share at least `overlap` pixels with their neighbours
    and lie on a grid of `step` pixels; images of any size are covered.
    """

    height: Side
    width: Side
    resize: Resize
    enlarge: Annotated[float, Field(ge=1, le=4)] = 1.0
    scale: Annotated[float, Field(gt=0, le=16)] = 1.0
    overlap: Annotated[int, Field(ge=0, le=LARGEST_SIDE)] = 0
    step: Side = 32

    @classmethod
    def square(cls, size: int, resize: Resize, enlarge: float = 1.0) -> "Framing":
        """Of size×size pixels."""
        return cls(size, size, resize, enlarge)

    @property
    def said(self) -> str:
        """For people, such as "tiles of 256×256 at 0.5 of the image's size"."""
        size = f"{self.width}×{self.height}"
        if self.resize != "tiles":
            return f"{self.resize} to {size}"
        return f"tiles of {size} at {self.scale:.3g} of the image's size"

    @property
    def window(self) -> Size:
        """Height and width of what a network sees at once."""
        return self.height, self.width

    def place(self, height: int, width: int) -> Place:
        """Where an image of this size comes to lie."""
        if self.resize == "squash":
            return Place(self.window, self.window, 0, 0)
        if self.resize == "tiles":
            resized = _scaled((height, width), self.scale)
            frame = tuple(
                max(least, -(-side // self.step) * self.step)
                for side, least in zip(resized, self.window, strict=True)
            )
            return Place(resized, (frame[0], frame[1]), 0, 0)
        if self.resize == "crop":
            shorter, target = min(height, width), round(self.height * self.enlarge)
            resized = (round(height * target / shorter), round(width * target / shorter))
        else:
            resized = _scaled((height, width), min(self.height / height, self.width / width))
        spare = (self.height - resized[0], self.width - resized[1])
        # Towards zero: what is cut off, or filled in, is less by a pixel at the upper left.
        return Place(resized, self.window, int(spare[0] / 2), int(spare[1] / 2))

    def to_model(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 (H, W, 3) → the framed picture, uint8 (3, h, w): height×width, or with "tiles" all
        of the image, through which windows move.

        Bilinear with anti-aliasing (Pillow's). What the image does not fill mirrors it.
        """
        place = self.place(image.shape[0], image.shape[1])
        (height, width), top, left = place.resized, place.top, place.left
        if image.shape[:2] != place.resized:
            size = (width, height)
            image = np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        image = image[max(0, -top) :, max(0, -left) :][: place.frame[0], : place.frame[1]]
        below, right = place.frame[0] - height - top, place.frame[1] - width - left
        top, below, left, right = (max(0, side) for side in (top, below, left, right))
        if top + below + left + right:
            filled = cv2.copyMakeBorder(image, top, below, left, right, cv2.BORDER_REFLECT)
            image = np.asarray(filled, np.uint8)
        framed: NDArray[np.uint8] = image.transpose(2, 0, 1)
        # Windows are cut from a picture that may be huge: no copy of all of it.
        return framed if self.resize == "tiles" else np.ascontiguousarray(framed)

    def mask_to_model(self, mask: NDArray[np.bool_], above: int = 127) -> NDArray[np.bool_]:
        """A mask (H, W) at the size of the image's map, see `inside`.

        A pixel is in it where more than `above` / 255 of it is; by default half.
        """
        return self.covered(mask) > above

    def covered(self, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """How much of each pixel of the image's map is in a mask (H, W): 0 to 255."""
        picture = np.repeat(mask[:, :, None], 3, axis=2) * np.uint8(255)
        return self.inside(self.to_model(picture)[0], mask.shape)

    def inside(self, framed: NDArray[T], size: Size) -> NDArray[T]:
        """What of the framed picture (h, w) the image of `size` fills, without the mirrored rest.

        This is the part that anomaly maps are of.
        """
        place = self.place(*size)
        top, left = max(0, place.top), max(0, place.left)
        return framed[top : top + place.resized[0], left : left + place.resized[1]]

    def filled(self, size: Size) -> NDArray[np.bool_] | None:
        """Where the framed picture shows the image of `size`, (h, w); None: everywhere."""
        place = self.place(*size)
        if place.resized[0] >= place.frame[0] and place.resized[1] >= place.frame[1]:
            return None
        shown = np.zeros(place.frame, bool)
        self.inside(shown, size)[:] = True
        return shown

    def to_original(self, anomaly_map: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
        """An anomaly map (h, w) of what the network saw of the image → (H, W) of the original.

        Pixels that "crop" cut off were not judged: they get the map's lowest value.
        """
        place = self.place(*size)
        if place.top < 0 or place.left < 0:
            height, width = self.window
            seen = cv2.resize(anomaly_map, (width, height), interpolation=cv2.INTER_LINEAR)
            whole = np.full(place.resized, anomaly_map.min(), dtype=np.float32)
            top, left = max(0, -place.top), max(0, -place.left)
            whole[top : top + height, left : left + width] = seen
            anomaly_map = whole
        if anomaly_map.shape == tuple(size):
            return anomaly_map
        resized = cv2.resize(anomaly_map, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, dtype=np.float32)

    def seen(self, height: int, width: int) -> float:
        """The share of an image's area that the network sees: 1, or less with "crop"."""
        place = self.place(height, width)
        sides = zip(place.frame, place.resized, strict=True)
        return float(np.prod([min(1.0, frame / resized) for frame, resized in sides]))


def sizes_of(rows: "pd.DataFrame") -> list[Size]:
    """Height and width of the images of manifest rows."""
    return list(zip(rows["height"].tolist(), rows["width"].tolist(), strict=True))


def _scaled(size: Size, factor: float) -> Size:
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def partly_seen(shares: Iterable[float]) -> list[str]:
    """A line for people where images were judged in part, from each image's share that was."""
    part = [share for share in shares if share < ALMOST_ALL]
    if not part:
        return []
    return [
        f"{len(part)} image(s) were judged in part: the centre crop sees {min(part):.0%} of the "
        "image at least; nothing is known of the rest. `resize: squash` sees all of it."
    ]
