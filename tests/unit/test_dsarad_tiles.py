"""DSARAD's tiles: large pictures are seen in parts, at their own fineness."""

import json

import pandas as pd
import pytest
import torch

from blemish.methods.base import load, save, score_all
from blemish.methods.dsarad import tiles
from blemish.methods.dsarad.method import Dsarad
from blemish.methods.dsarad.params import Params
from blemish.methods.dsarad.tiles import by_size, cut, join, one_each
from blemish.params import TrainingParams
from blemish.training import Loop
from tests.unit.test_dsarad import new_draws
from tests.units import tiny_unit


def pictures(*sizes: tuple[int, int]) -> pd.DataFrame:
    return pd.DataFrame(sizes, columns=["width", "height"])


@pytest.mark.parametrize(
    ("size", "number"),
    [((300, 300), 1), ((512, 512), 1), ((513, 200), 2), ((200, 1000), 2), ((1100, 1100), 3)],
)
def test_large_pictures_need_more_tiles(size: tuple[int, int], number: int) -> None:
    assert by_size(pictures(size, size, (10, 10)), 128) == number


def test_no_picture_needs_more_than_four_a_side() -> None:
    assert by_size(pictures((60000, 300)), 128) == 4


def test_tiles_are_the_parts_of_a_picture_row_by_row() -> None:
    picture = torch.arange(2 * 3 * 6 * 6).view(2, 3, 6, 6)
    parts = cut(picture, 3)
    assert parts.shape == (18, 3, 2, 2)
    assert torch.equal(parts[9 + 5], picture[1, :, 2:4, 4:6])  # second picture, row 1, column 2
    assert torch.equal(join(parts[:, 0], 3), picture[:, 0])


def test_each_picture_gives_one_tile_any_as_often_and_the_same_for_all_that_belongs_to_it() -> None:
    numbers = torch.arange(4000)
    places = torch.arange(4).view(1, 2, 2).expand(4000, 2, 2)
    chosen = one_each(places, numbers, 2)
    assert chosen.shape == (4000, 1, 1)
    assert torch.equal(chosen, one_each(places, numbers, 2))
    assert torch.bincount(chosen.flatten()).double() / 4000 == pytest.approx([0.25] * 4, abs=0.03)
    draws = new_draws(tiles=2, rotation=0, standardise=False)
    for clean, corrupted, masks in draws.synthetic(0, torch.float64):
        assert clean.shape == corrupted.shape == (4, 3, 64, 64)
        assert masks.shape == (4, 64, 64)
        changed = (corrupted - clean).abs().amax(dim=1) > 1e-6
        assert not changed[~masks].any()


def test_the_number_is_decided_in_training_and_kept_with_the_model(tmp_path, monkeypatch) -> None:
    unit = tiny_unit().open()
    side = unit.manifest.of("train", 0)[["width", "height"]].median().max()
    monkeypatch.setattr(tiles, "FINEST", side / 128)  # as if the pictures were large
    small = {"image_size": 64, "width": 2, "segmenter_width": 2, "epochs": 1, "teacher_epochs": 1}
    model = Dsarad(Params(tiles="by_size", **small), 0)
    model.fit(unit, Loop(TrainingParams(device="cpu", threads=1), 0, "tiny"))
    assert model.framing.size == 128
    images = unit.normals(model.framing, "val")
    maps, scores = score_all(model, images, "scoring")
    assert maps.shape == (len(images), 128, 128)
    assert model.views(images)["reconstruction"].shape == images.shape
    save(model, tmp_path, "tiny/unit", maps, scores)
    assert json.loads((tmp_path / "model.json").read_text())["params"]["tiles"] == 2
    again, _ = load(tmp_path, torch.device("cpu"))
    assert (score_all(again, images, "scoring")[1] == scores).all()


def test_each_tile_is_scored_as_an_image_of_its_own() -> None:
    whole = Dsarad(Params(image_size=64, width=2, segmenter_width=2), 0).eval()
    tiled = Dsarad(Params(image_size=64, width=2, segmenter_width=2, tiles=2), 0).eval()
    image = torch.randint(0, 256, (1, 3, 128, 128), dtype=torch.uint8)
    with torch.inference_mode():
        (parts, _), (maps, _) = whole.score(cut(image, 2)), tiled.score(image)
    assert torch.allclose(join(parts, 2), maps, atol=1e-6)
