"""What happens to images on a line though the parts stay the same: light, focus, place, files.

Each disturbance has four strengths, from what nobody would notice to what everybody sees. They are
ours: a laboratory's lamp drifts by a tenth, a worn one loses half.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
STREAM = 17  # of the random numbers that disturb
BORDER = cv2.BORDER_REFLECT_101  # what comes in from outside mirrors the image


class Disturbance(NamedTuple):
    """A way to change an image (H, W, 3): a strength and a random generator say how.

    said: what its strengths are.
    """

    change: Callable[[Picture, float, np.random.Generator], Picture]
    strengths: tuple[float, float, float, float]
    said: str


def _either(strength: float, random: np.random.Generator) -> float:
    """A factor or its inverse."""
    return strength if random.random() < 0.5 else 1 / strength


def _direction(strength: float, random: np.random.Generator) -> float:
    return strength if random.random() < 0.5 else -strength


def _gain(image: Picture, strength: float, random: np.random.Generator) -> Picture:
    return _rounded(image * np.float32(_either(strength, random)))


def _gamma(image: Picture, strength: float, random: np.random.Generator) -> Picture:
    values = 255 * np.linspace(0, 1, 256) ** _either(strength, random)
    table = _rounded(values)
    return np.asarray(table[image], np.uint8)


def _blur(image: Picture, strength: float, _: np.random.Generator) -> Picture:
    sigma = strength * min(image.shape[:2])
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=BORDER), np.uint8)


def _noise(image: Picture, strength: float, random: np.random.Generator) -> Picture:
    return _rounded(image + random.normal(0, strength, image.shape).astype(np.float32))


def _shift(image: Picture, strength: float, random: np.random.Generator) -> Picture:
    far, angle = strength * min(image.shape[:2]), random.uniform(0, 2 * np.pi)
    return _moved(image, np.array([[1, 0, far * np.cos(angle)], [0, 1, far * np.sin(angle)]]))


def _rotation(image: Picture, strength: float, random: np.random.Generator) -> Picture:
    middle = ((image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2)
    return _moved(image, cv2.getRotationMatrix2D(middle, _direction(strength, random), 1.0))


def _jpeg(image: Picture, strength: float, _: np.random.Generator) -> Picture:
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(strength)])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def _moved(image: Picture, matrix: NDArray[Any]) -> Picture:
    size = (image.shape[1], image.shape[0])
    moved = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=BORDER)
    return np.asarray(moved, np.uint8)


def _rounded(values: NDArray[Any]) -> Picture:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


DISTURBANCES = {
    "gain": Disturbance(_gain, (1.05, 1.1, 1.2, 1.5), "factor of the light, up or down"),
    "gamma": Disturbance(_gamma, (1.05, 1.1, 1.2, 1.5), "exponent of the light, or its inverse"),
    "blur": Disturbance(_blur, (0.002, 0.004, 0.008, 0.016), "σ, share of the shorter side"),
    "noise": Disturbance(_noise, (2, 4, 8, 16), "σ in grey levels"),
    "shift": Disturbance(_shift, (0.005, 0.01, 0.02, 0.04), "share of the shorter side"),
    "rotation": Disturbance(_rotation, (0.5, 1, 2, 4), "degrees, either way"),
    "jpeg": Disturbance(_jpeg, (90, 70, 50, 30), "quality of the file"),
}


def disturbed(image: Picture, name: str, strength: float, number: int) -> Picture:
    """An image (H, W, 3) as uint8 with one disturbance; `number`, the image's, draws the rest."""
    place = list(DISTURBANCES).index(name)
    random = np.random.default_rng([STREAM, place, number])
    return DISTURBANCES[name].change(image, strength, random)
