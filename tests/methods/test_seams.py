"""Maps joined of windows hardly depend on where the windows lie.

A picture is scored, and again with 32 mirrored pixels on every side, so that every window is cut
elsewhere. The network sees its windows' borders padded with zeros, and that it can tell.
"""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blemish.images.framing import Framing
from blemish.methods.detector import AnyDetector, Detector, Measured
from blemish.methods.saved import load
from blemish.methods.scoring import score_picture
from blemish.methods.view_params import ViewParams
from tests.methods.tiny import CPU, tiny
from tests.units import scratch, stripes, tiny_unit, train_model

SHIFT = 32
WINDOW, SCALE = 256, 4.0
TILES = Framing(WINDOW, WINDOW, "tiles", scale=SCALE, overlap=64, step=32)
SIDE = 112  # pixels of the image, 448 of what is looked at: windows at 0 and 192, or −32, 96, 224


def picture() -> np.ndarray:
    """Stripes with a white spot in the middle, framed, (3, 448, 448)."""
    image = stripes(np.random.default_rng(0), SIDE, SIDE)
    middle = slice(SIDE // 2 - 6, SIDE // 2 + 6)
    image[middle, middle] = 255
    return TILES.to_model(image)


def both_maps(detector: AnyDetector) -> tuple[np.ndarray, np.ndarray]:
    """The map of the picture's inside, from windows here and from windows elsewhere."""
    shown = picture()
    sides = (SHIFT,) * 4
    wider = np.stack([cv2.copyMakeBorder(one, *sides, cv2.BORDER_REFLECT) for one in shown])
    inside = slice(SHIFT, -SHIFT)
    here = score_picture(detector, torch.from_numpy(shown), (SIDE, SIDE)).anomaly_map
    more = round(2 * SHIFT / SCALE)
    elsewhere = score_picture(detector, torch.from_numpy(wider), (SIDE + more,) * 2).anomaly_map
    return here[inside, inside], elsewhere[inside, inside][inside, inside]


class Blur(Detector[ViewParams]):
    """The mean over squares, padded with zeros: a network that sees `radius` pixels around."""

    name = "blur"

    def __init__(self, radius: int) -> None:
        super().__init__(ViewParams(image_size=WINDOW, resize="tiles"), 0, TILES)
        self.radius = radius
        self.weight = nn.Parameter(torch.ones(1))

    def measure(self, images: Tensor) -> Measured:
        side = 2 * self.radius + 1
        maps = F.avg_pool2d(images.float().mean(dim=1), side, stride=1, padding=self.radius)
        return Measured(maps, maps)


def test_what_sees_no_further_than_the_blind_border_leaves_no_seam() -> None:
    here, elsewhere = both_maps(Blur(16))  # a quarter of the overlap of 64
    assert here.shape == (384, 384)
    assert here.std() > 10
    np.testing.assert_allclose(here, elsewhere, rtol=1e-4)
    here, elsewhere = both_maps(Blur(40))  # else the test would prove nothing
    assert np.abs(here - elsewhere).max() > 1


# By method: the root mean square and the largest of what moves, in standard deviations of the map.
# Measured: GLASS 0.52 and 2.1, PatchCore 0.08 and 0.27. GLASS's discriminator, after two epochs of
# a tiny setting, makes much of the little that its features see of a window's border.
MOVES = {"glass": (0.7, 2.8), "patchcore": (0.12, 0.5)}


@pytest.mark.parametrize("method", MOVES)
def test_a_map_hardly_depends_on_where_windows_lie(method: str) -> None:
    changes = {"weights": "imagenet", "resize": "tiles", "image_size": WINDOW, "scale": SCALE}
    out = scratch() / "seams" / method
    found, _ = load(train_model(tiny_unit(), method, out, tiny(method).params | changes), CPU)
    assert found.framing == TILES
    here, elsewhere = both_maps(found)
    moved = np.abs(here - elsewhere) / here.std()
    mean, most = MOVES[method]
    assert np.sqrt((moved**2).mean()) < mean
    assert moved.max() < most
    # The spot stands out as much: upwards for PatchCore; two epochs do not teach GLASS that.
    spots = [(one[168:216, 168:216].mean() - one.mean()) / one.std() for one in (here, elsewhere)]
    assert min(map(abs, spots)) > 1
    assert spots[0] == pytest.approx(spots[1], rel=0.25)
