"""Every registered method: maps, scores and views of a trained detector."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from blemish.commands.app import app
from blemish.methods.saved import load
from blemish.methods.scoring import score_each, views_of
from tests.methods.tiny import CPU, every_method, pictures, trained
from tests.scoring import score_all
from tests.units import tiny_unit


@every_method
def test_maps_and_scores_have_the_promised_form(method: str) -> None:
    found, _ = load(trained(method), CPU)
    images = pictures(method)
    maps, scores = score_all(found, images)
    size = found.framing.window
    assert maps.shape == (len(images), *size)
    assert (maps.dtype, scores.dtype) == (np.float32, np.float64)
    assert np.isfinite(maps).all()
    assert len(set(scores)) == len(scores)
    assert maps.std(axis=(1, 2)).min() > 0
    assert list(score_each(found, images[:0], [])) == []


@every_method
def test_validation_scores_are_those_of_the_validation_normals(method: str) -> None:
    found, record = load(trained(method), CPU)
    normals = tiny_unit().open().normals(found.framing, "val")
    maps, scores = score_all(found, normals[:])
    assert record.validation.normal_scores == sorted(scores)
    assert record.validation.map_maxima == sorted(maps.max(axis=(1, 2)).tolist())


@every_method
def test_a_score_does_not_depend_on_the_company(method: str) -> None:
    found, _ = load(trained(method), CPU)
    images = pictures(method).repeat(2, 1, 1, 1)
    maps, scores = score_all(found, images)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    mixed_maps, mixed_scores = score_all(found, images[order])
    assert mixed_scores.tobytes() == scores[order].tobytes()
    assert mixed_maps.tobytes() == maps[order].tobytes()
    for batch in (1, 4, 7):
        parts = [score_all(found, part)[1] for part in images.split(batch)]
        assert np.concatenate(parts).tobytes() == scores.tobytes()


@every_method
def test_predict_takes_every_model(method: str, tmp_path) -> None:
    folder, test = trained(method), tiny_unit().prepared / "test"
    words = ["predict", str(folder), str(test), "--scores", str(tmp_path / "s.csv"), "--device=cpu"]
    done = CliRunner().invoke(app, [*words, "--labelme", str(tmp_path / "labelme")])
    assert done.exit_code == 0, done.output
    found = pd.read_csv(tmp_path / "s.csv")
    _, scores = score_all(load(folder, CPU)[0], pictures(method))
    assert sorted(found["score"]) == sorted(scores)
    files = sorted((tmp_path / "labelme").rglob("*.json"))
    shapes = [len(json.loads(file.read_text(encoding="utf-8"))["shapes"]) for file in files]
    assert sum(shapes) == found["regions"].sum()


@every_method
def test_views_are_pictures_of_each_image_alone(method: str) -> None:
    found, _ = load(trained(method), CPU)
    images = pictures(method)[:3]
    alone = [views_of(found, image) for image in images]
    with torch.inference_mode():
        together = found.views(images)
    assert all(caption.strip() for caption in together)
    for number, one in enumerate(alone):
        again = views_of(found, images[number])
        assert list(one) == list(again) == list(together)
        for caption, picture in one.items():
            assert np.array_equal(picture, again[caption])
            company = together[caption][number].permute(1, 2, 0).numpy()
            assert np.abs(picture.astype(int) - company).max() <= 2  # rounding may differ


@every_method
def test_images_of_another_size_or_type_are_refused(method: str) -> None:
    found, _ = load(trained(method), CPU)
    (size, _) = found.framing.window
    right = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    wrong = [
        torch.zeros(2, 3, size + 32, size + 32, dtype=torch.uint8),
        torch.zeros(2, 3, size, size // 2, dtype=torch.uint8),
        torch.zeros(2, 1, size, size, dtype=torch.uint8),
        torch.zeros(3, size, size, dtype=torch.uint8),
        right.float() / 255,
    ]
    with torch.inference_mode():
        found.eval().score(right)
    for images in wrong:
        with pytest.raises(ValueError, match=rf"takes \(N, 3, {size}, {size}\) uint8"):
            found.score(images)
