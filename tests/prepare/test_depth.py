"""16-bit images: one scaling a unit, found in its training images, kept in its manifest."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.params import DataParams, load_params
from blemish.datasets.dataset import DataSet, Item, Layout
from blemish.images.manifest import Manifest, read_manifest
from blemish.images.reading import read_image
from blemish.prepare.depth import find_levels, value_range
from blemish.prepare.unit import prepare

SIDE = 64


def grey(seed: int, low: int, high: int) -> np.ndarray:
    """Values from low to high, a scene with some grain."""
    random = np.random.default_rng(seed)
    scene = np.linspace(0, 1, SIDE)[None, :] * np.ones((SIDE, 1))
    grain = random.normal(0, 0.02, (SIDE, SIDE))
    return (low + (high - low) * np.clip(scene + grain, 0, 1)).astype(np.uint16)


def saved(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), values)
    return path


def prepared(
    folder: Path, low: int, high: int, suffix: str = ".tif", levels: dict | None = None
) -> Manifest:
    """Good images from low to high, and a defective one that is brighter than all of them."""
    raw = folder / "raw"
    items = [
        Item(saved(raw / f"good/{n:03d}{suffix}", grey(n, low, high)), "good") for n in range(10)
    ]
    bright = saved(raw / f"hot/000{suffix}", grey(99, low, high + (high - low) // 4))
    items.append(Item(bright, "hot", "test"))
    made = DataSet(
        name="set", title="", categories=("unit",), licence="", citation="", home="",
        fetch=lambda *_: None, layout=lambda *_: Layout(items, masks="none"),
    )  # fmt: skip
    target = folder / "prepared"
    target.mkdir()
    prepare(made, "unit", raw, DataParams(levels=levels or {}), target)
    return read_manifest(target)


def shades(manifest: Manifest, split: str) -> int:
    """How many grey levels an image of a split has."""
    row = manifest.of(split).iloc[0]
    return len(np.unique(read_image(manifest.root / row["image"])))


@pytest.mark.parametrize(
    ("low", "high", "levels"),
    [
        (0, 1000, (0, 1023)),
        (100, 4000, (0, 4095)),
        (300, 14000, (0, 16383)),
        (0, 65000, (0, 65535)),
        (29000, 31000, (28000, 32000)),
    ],
)
def test_black_and_white_are_found(low: int, high: int, levels: tuple[int, int]) -> None:
    assert find_levels([(low, high), None, (low + 1, high - 1)]) == levels


def test_eight_bits_have_no_levels() -> None:
    assert find_levels([None, None]) is None


@pytest.mark.parametrize("suffix", [".tif", ".png", ".pgm"])
@pytest.mark.parametrize(("low", "high"), [(0, 1000), (50, 4000), (30000, 31000)])
def test_few_bits_in_sixteen_keep_their_shades(
    tmp_path: Path, low: int, high: int, suffix: str
) -> None:
    manifest = prepared(tmp_path, low, high, suffix)
    assert shades(manifest, "train") > 100
    assert manifest.facts.levels is not None
    assert manifest.facts.levels[1] >= high
    (note,) = [note for note in manifest.facts.notes if "16-bit" in note]
    assert f"values {manifest.facts.levels[0]} to {manifest.facts.levels[1]}" in note


def test_the_scaling_is_the_units_not_the_images(tmp_path: Path) -> None:
    manifest = prepared(tmp_path, 0, 1000)
    (hot,) = manifest.of("test", 1)["image"]
    raw = np.asarray(Image.open(tmp_path / "raw/hot/000.tif"))
    expected = np.clip(raw, 0, 1023).astype(int) * 255 // 1023
    np.testing.assert_array_equal(read_image(manifest.root / hot)[:, :, 0], expected)


def test_a_key_gives_black_and_white(tmp_path: Path) -> None:
    manifest = prepared(tmp_path, 100, 900, levels={"set/unit": [100, 900]})
    assert manifest.facts.levels == (100, 900)
    assert read_image(manifest.root / manifest.of("train")["image"][0]).max() == 255


def test_a_hot_pixel_does_not_set_the_scale(tmp_path: Path) -> None:
    values = grey(0, 0, 1000)
    values = np.tile(values, (4, 4))
    values[0, 0] = 65535
    path = saved(tmp_path / "a.tif", values)
    assert find_levels([value_range(path)]) == (0, 1023)


def test_sixteen_bits_a_colour_keep_their_shades(tmp_path: Path) -> None:
    colour = np.dstack([grey(0, 0, 1000), grey(1, 0, 900), grey(2, 0, 800)])
    for suffix in (".png", ".tif"):
        path = saved(tmp_path / f"a{suffix}", colour)
        pixels = read_image(path, (0, 1023))
        assert pixels.shape == (SIDE, SIDE, 3)
        assert len(np.unique(pixels)) > 100
        # Saved by OpenCV as blue, green, red.
        assert pixels[:, :, 2].mean() > pixels[:, :, 1].mean() > pixels[:, :, 0].mean()


def test_bad_levels_are_named(tmp_path: Path) -> None:
    text = Path("params.yaml").read_text().replace("levels: {}", "levels: {a/b: [9, 3]}")
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"data\.levels\.a/b.*\[9, 3\]: give black and white"):
        load_params(path)


def test_a_tif_beside_a_png_of_its_name_stays_another_image(tmp_path: Path) -> None:
    manifest = prepared(tmp_path, 0, 1000)
    raw = tmp_path / "raw"
    items = [Item(file, "good") for file in sorted((raw / "good").iterdir())]
    items.append(Item(saved(raw / "good/000.png", grey(50, 0, 1000)), "good"))
    target = tmp_path / "again"
    target.mkdir()
    made = DataSet(
        name="set", title="", categories=("unit",), licence="", citation="", home="",
        fetch=lambda *_: None, layout=lambda *_: Layout(items, masks="none"),
    )  # fmt: skip
    prepare(made, "unit", raw, DataParams(), target)
    rows = read_manifest(target).rows
    assert rows["image"].nunique() == rows["digest"].nunique() == len(items)
    assert len(manifest.rows) == len(items)  # ten good ones and one defect before
