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


def disc(height: int, width: int) -> np.ndarray:
    """A white disc about the centre, a third of the shorter side in radius."""
    y, x = np.mgrid[:height, :width] + 0.5
    inside = (y - height / 2) ** 2 + (x - width / 2) ** 2 <= (min(height, width) / 3) ** 2
    return np.repeat(inside[:, :, None], 3, axis=2) * np.uint8(255)


ANY_SIZE = [(64, 64), (100, 160), (301, 97), (20, 30), (160, 100), (97, 64), (1, 50)]


@pytest.mark.parametrize(("height", "width"), ANY_SIZE[:-1])
def test_fit_and_tiles_keep_a_circle_a_circle(height: int, width: int) -> None:
    for framing in (Framing(64, 96, "fit"), Framing(64, 64, "tiles", scale=0.8)):
        shown = framing.inside(framing.to_model(disc(height, width))[0], (height, width)) > 127
        tall, wide = shown.any(axis=1).sum(), shown.any(axis=0).sum()
        assert abs(int(tall) - int(wide)) <= 1
        size = framing.place(height, width).resized
        assert tall == pytest.approx(2 / 3 * min(size), abs=1.5)


def test_fit_takes_images_of_all_sizes_into_one_canvas() -> None:
    framing = Framing(64, 96, "fit")
    for height, width in ANY_SIZE:
        assert framing.to_model(disc(height, width)).shape == (3, 64, 96)
        resized = framing.place(height, width).resized
        assert resized[0] == 64 or resized[1] == 96  # as large as fits
        assert framing.seen(height, width) == 1


@pytest.mark.parametrize(("height", "width"), ANY_SIZE[:-1])
def test_fit_and_tiles_bring_a_spot_back(height: int, width: int) -> None:
    row, column = height // 3, width // 4
    for framing in (Framing(64, 96, "fit"), Framing(64, 64, "tiles", scale=0.7, overlap=16)):
        seen = framing.inside(framing.to_model(dot(height, width, row, column))[0], (height, width))
        back = framing.to_original(seen.astype(np.float32), (height, width))
        assert back.shape == (height, width)
        rows, columns = np.nonzero(back > 0.5 * back.max())
        pixel = max(1.0, height / framing.place(height, width).resized[0])
        assert abs(rows.mean() - row) < pixel
        assert abs(columns.mean() - column) < pixel


def test_what_fit_does_not_fill_mirrors_the_image_and_is_not_judged() -> None:
    framing, size = Framing(64, 96, "fit"), (64, 40)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    seen, place = framing.to_model(image), framing.place(*size)
    assert (place.top, place.left, place.resized) == (0, 28, size)
    assert np.array_equal(seen[:, :, 28:68].transpose(1, 2, 0), image)
    assert np.array_equal(seen[:, :, 27::-1], seen[:, :, 28:56])
    assert np.array_equal(seen[:, :, 68:], seen[:, :, 67:39:-1])
    filled = framing.filled(size)
    assert filled is not None
    assert filled[:, 28:68].all()
    assert filled.sum() == 64 * 40
    assert framing.filled((64, 96)) is None
    assert framing.filled((128, 192)) is None


@pytest.mark.parametrize(("height", "width"), ANY_SIZE)
@pytest.mark.parametrize("scale", [1.0, 0.4, 1.7])
def test_tiles_cover_images_of_any_size(height: int, width: int, scale: float) -> None:
    framing = Framing(64, 96, "tiles", scale=scale, overlap=16, step=32)
    seen, place = framing.to_model(disc(height, width)), framing.place(height, width)
    assert seen.shape == (3, *place.frame)
    assert (place.top, place.left) == (0, 0)
    sides = zip(place.frame, place.resized, framing.window, (height, width), strict=True)
    for frame, resized, window, side in sides:
        assert resized == max(1, round(scale * side))
        assert frame % 32 == 0
        assert window <= frame
        assert resized <= frame < max(resized + 32, window + 1)
    filled = framing.filled((height, width))
    shown = place.resized[0] * place.resized[1]
    assert shown == (seen[0].size if filled is None else filled.sum())
    assert framing.seen(height, width) == 1


WAYS = [
    Framing.square(64, "squash"),
    Framing.square(64, "crop", 1.2),
    Framing(64, 96, "fit"),
    Framing(64, 64, "tiles", scale=0.8, overlap=16),
]


@pytest.mark.parametrize("framing", WAYS, ids=lambda framing: framing.resize)
@pytest.mark.parametrize(("height", "width"), ANY_SIZE[:-1])
def test_a_mask_has_the_size_of_its_image_s_map(framing: Framing, height: int, width: int) -> None:
    picture = disc(height, width)
    mask = framing.mask_to_model(picture[:, :, 0] > 0)
    seen = framing.inside(framing.to_model(picture)[0], (height, width))
    assert mask.shape == seen.shape
    assert np.array_equal(mask, seen > 127)
    back = framing.to_original(mask.astype(np.float32), (height, width))
    assert back.shape == (height, width)


def test_a_framing_is_said_in_words() -> None:
    assert Framing(64, 96, "fit").said == "fit to 96×64"
    assert Framing(64, 64, "tiles", scale=0.5).said == "tiles of 64×64 at 0.5 of the image's size"
