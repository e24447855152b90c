"""Every registered method that looks through windows: images of any size, trained on and scored."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from blemish.core.errors import UserError
from blemish.core.params import load_params
from blemish.images.framing import Framing
from blemish.images.windows import windows
from blemish.methods.detector import AnyDetector
from blemish.methods.saved import load
from blemish.methods.scoring import peaks_of, score_each, score_picture, views_of
from tests.methods.tiny import CPU, every_method, tiny
from tests.units import (
    SIZES,
    bytes_of,
    evaluate_model,
    params_folder,
    scratch,
    stripes,
    tiny_unit,
    train_model,
)

TILES = Framing(64, 64, "tiles", overlap=16, step=32)
# What must be otherwise for a method to look through windows.
CHANGES: dict[str, dict[str, Any]] = {"dlas": {"variant": "manifold"}}


def section(method: str) -> dict[str, Any]:
    return tiny(method).params | {"resize": "tiles"} | CHANGES.get(method, {})


@cache
def trained(method: str) -> Path:
    return train_model(tiny_unit(), method, scratch() / "tiles" / method, section(method))


def loaded(method: str) -> AnyDetector:
    return load(trained(method), CPU)[0]


def framed(height: int, width: int, seed: int = 0) -> Tensor:
    image = stripes(np.random.default_rng(seed), height, width)
    return torch.from_numpy(TILES.to_model(image))


@every_method
def test_images_of_every_size_get_maps_of_their_size(method: str) -> None:
    found = loaded(method)
    assert found.framing == TILES
    sizes = [*SIZES, (64, 64), (20, 150), (130, 64)]
    scored = score_each(found, [framed(*size) for size in sizes], sizes)
    for size, (anomaly_map, scores) in zip(sizes, scored, strict=True):
        assert anomaly_map.shape == size
        assert (anomaly_map.dtype, scores.shape) == (np.float32, (1,))
        assert np.isfinite(anomaly_map).all()
        assert np.isfinite(scores).all()
        assert anomaly_map.std() > 0


@every_method
def test_the_validation_normals_were_scored_as_images_are(method: str) -> None:
    found, record = load(trained(method), CPU)
    unit = tiny_unit().open()
    scored = list(score_each(found, unit.pictures(TILES, "val"), unit.sizes_of("val")))
    assert record.validation.normal_scores == sorted(float(one.scores[0]) for one in scored)
    maxima = sorted(float(one.anomaly_map.max()) for one in scored)
    assert record.validation.map_maxima == maxima
    assert record.framing_reason.startswith("asked for: images of ")


@every_method
def test_an_image_of_one_window_scores_as_the_detector_does(method: str) -> None:
    found, picture = loaded(method), framed(64, 64)
    with torch.inference_mode():
        anomaly_map, score = found.score(picture[None])
    scored = score_picture(found, picture, (64, 64))
    assert scored.anomaly_map.tobytes() == anomaly_map[0].numpy().tobytes()
    assert scored.scores.tobytes() == score.numpy().tobytes()


@every_method
def test_a_score_combines_the_peaks_of_all_windows(method: str) -> None:
    found, picture = loaded(method), framed(96, 128)
    peaks, total = [], torch.zeros(96, 128)
    for at in windows(TILES, (96, 128)):
        part = (slice(at.top, at.top + 64), slice(at.left, at.left + 64))
        top, bottom, left, right = at.owned
        counted = torch.zeros(1, 64, 64, dtype=torch.bool)
        counted[:, top:bottom, left:right] = True
        with torch.inference_mode():
            maps, cells = found.measure(picture[(slice(None), *part)][None].contiguous())
            peaks.append(found.peaks(cells, counted)[0])
        rows, columns = map(torch.from_numpy, at.weights)
        total[part] += maps[0] * rows[:, None] * columns
    assert len(peaks) == 6
    scored = score_picture(found, picture, (96, 128))
    assert torch.equal(peaks_of(found, picture, (96, 128)), torch.stack(peaks))
    assert float(found.combine(torch.stack(peaks)[None])) == scored.scores[0]
    np.testing.assert_allclose(scored.anomaly_map, total.numpy(), rtol=1e-5, atol=1e-6)


@every_method
def test_a_zone_ignores_what_lies_outside_of_it(method: str) -> None:
    found, size = loaded(method), (64, 224)
    clean = framed(*size)
    spoiled = clean.clone()
    spoiled[:, 20:44, 4:28] = 255
    zones = np.zeros((3, *size), bool)
    zones[0], zones[1, :, 170:] = True, True  # everywhere, far from the spot, nowhere
    before, after = (score_picture(found, one, size, zones) for one in (clean, spoiled))
    assert before.scores.shape == (3,)
    changed = (after.anomaly_map != before.anomaly_map).any(axis=0)
    assert changed[4:28].any()
    assert not changed[170:].any()
    assert after.scores[1] == before.scores[1]  # no window that counts there sees the spot
    assert after.scores[2] == after.anomaly_map.min()
    assert before.scores[0] == score_picture(found, clean, size).scores[0]


@every_method
def test_two_runs_give_equal_bytes(method: str, tmp_path: Path) -> None:
    again = train_model(tiny_unit(), method, tmp_path / "again", section(method))
    assert bytes_of(again) == bytes_of(trained(method))
    picture = framed(*SIZES[0])
    first, second = (score_picture(loaded(method), picture, SIZES[0]) for _ in range(2))
    assert first.anomaly_map.tobytes() == second.anomaly_map.tobytes()
    assert first.scores.tobytes() == second.scores.tobytes()


@every_method
def test_fewer_windows_train_another_model(method: str, tmp_path: Path) -> None:
    params = section(method) | {"windows": 12}
    fewer = train_model(tiny_unit(), method, tmp_path / "fewer", params)
    name = "model.safetensors"
    assert (fewer / name).read_bytes() != (trained(method) / name).read_bytes()


@every_method
def test_views_are_of_the_window_with_the_highest_score(method: str) -> None:
    found, size = loaded(method), (64, 160)
    picture = framed(*size)
    parts = [picture[None, :, :, at.left : at.left + 64] for at in windows(TILES, size)]
    assert len(parts) == 4
    with torch.inference_mode():
        highest = max(parts, key=lambda part: float(found.score(part)[1]))
        expected = found.views(highest)
    shown = views_of(found, picture)
    assert list(shown) == list(expected)
    for caption, view in shown.items():
        assert np.array_equal(view, expected[caption][0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("resolution", ["original", "model"])
def test_a_test_set_of_mixed_sizes_is_evaluated(resolution: str, tmp_path: Path) -> None:
    folder = evaluate_model(
        tiny_unit(), trained("patchcore"), tmp_path / "results", resolution=resolution
    )
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert found["framing"] == "tiles of 64×64 at 1 of the image's size"
    assert found["metrics"]["image_auroc"] == 1  # white spots and lines
    assert found["metrics"]["pixel_auroc"] > 0.5
    assert found["input_size"] == [64, 64]


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("dsarad", {"flat_field": True}, r"`resize: tiles` does not go with `flat_field: true`"),
        ("glass", {"variant": "judge"}, r"`resize: tiles` does not go with `variant: judge`"),
        ("glass", {"variant": "table"}, r"`resize: tiles` does not go with `variant: table`"),
        ("dlas", {"variant": "hypersphere"}, r"tiles` does not go with `variant: hypersphere`"),
        ("glass", {"enlarge": 1.5}, r"`enlarge` keeps the centre, so it needs `resize: crop`"),
        ("patchcore", {"scale": 0.0}, r"`patchcore\.scale"),
        ("patchcore", {"overlap": 0.9}, r"`patchcore\.overlap` is 0\.9"),
    ],
)
def test_what_does_not_go_with_windows_is_said_in_one_line(method, change, message) -> None:
    changes = {method: section(method) | change}
    with params_folder(changes), pytest.raises(UserError, match=message) as caught:
        load_params()
    assert "\n" not in str(caught.value)
