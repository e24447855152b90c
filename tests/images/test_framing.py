"""The way to the network's view of an image, and back."""

import numpy as np
import pytest

from blemish.images.framing import Framing, Resize


def dot(height: int, width: int, row: int, column: int) -> np.ndarray:
    """A black image with a white square of 5×5 about one pixel."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[row - 2 : row + 3, column - 2 : column + 3] = 255
    return image


FRAMES: list[tuple[Resize, int, int, tuple[int, int]]] = [
    ("squash", 100, 160, (20, 150)),
    ("squash", 301, 97, (280, 10)),
    ("crop", 100, 160, (20, 100)),
    ("crop", 301, 97, (130, 10)),
    ("crop", 64, 64, (9, 50)),
    ("squash", 30, 40, (25, 5)),
]


@pytest.mark.parametrize(("resize", "height", "width", "place"), FRAMES)
def test_a_spot_comes_back_where_it_was(
    resize: Resize, height: int, width: int, place: tuple[int, int]
) -> None:
    framing = Framing.square(64, resize)
    seen = framing.to_model(dot(height, width, *place))
    assert seen.shape == (3, 64, 64)
    assert seen.dtype == np.uint8
    assert seen.max() > 60
    back = framing.to_original(seen[0].astype(np.float32), (height, width))
    assert back.shape == (height, width)
    assert back.dtype == np.float32
    rows, columns = np.nonzero(back > 0.5 * back.max())
    pixel = max(height, width) / 64 if resize == "squash" else min(height, width) / 64
    assert abs(rows.mean() - place[0]) < max(1.0, pixel)
    assert abs(columns.mean() - place[1]) < max(1.0, pixel)


def test_a_crop_keeps_the_aspect_and_judges_nothing_outside() -> None:
    framing = Framing.square(64, "crop")
    wide = np.zeros((100, 200, 3), dtype=np.uint8)
    wide[:, :45] = 255  # beyond the central square, which starts at column 50
    assert framing.to_model(wide)[:, :, 2:].max() == 0
    back = framing.to_original(
        np.full((8, 8), 7, dtype=np.float32) + np.eye(8, dtype=np.float32), (100, 200)
    )
    assert (back[:, :48] == 7).all()
    assert (back[:, 152:] == 7).all()
    assert back[:, 52:148].max() == pytest.approx(8, abs=0.2)


@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_a_coarse_map_is_interpolated(resize: Resize) -> None:
    ramp = np.tile(np.arange(16, dtype=np.float32), (16, 1))
    back = Framing.square(256, resize).to_original(ramp, (256, 256))
    steps = np.diff(back[128])
    assert steps.min() >= 0
    assert steps.max() == pytest.approx(1 / 16, rel=1e-3)
    assert back.mean() == pytest.approx(7.5)
