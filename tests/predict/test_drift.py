"""Drift: no more alarms than stated on undisturbed images, and one line when something changed."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.images.looks import LOOKS, looks_of
from blemish.predict.drift import RATE, SCORES, WINDOW, Drift, Judged
from blemish.predict.verdict import Rules, Verdict
from tests.predict.bright import SIZE, predict, write_model

RULES = Rules(threshold=3.0, map_threshold=1.0, min_area=1, tolerance=0, expected_rate=0.05)
EMPTY = np.zeros((1, 1), np.float32)


def judged(score: float, looks: dict[str, float]) -> Verdict:
    return Verdict(score, score > 3, EMPTY, (), 3.0, 0.05, looks=looks)


def draw(random: np.random.Generator, count: int, shift: float = 0.0) -> list[Verdict]:
    """Of normal distributions; shift: of the brightness, in deviations."""
    return [
        judged(
            random.normal(),
            {name: random.normal(shift * (name == "brightness"), 1) for name in LOOKS},
        )
        for _ in range(count)
    ]


def kept(verdicts: list[Verdict]) -> list[Judged]:
    return [Judged(f"{at}.png", one.score, one.looks) for at, one in enumerate(verdicts)]


def watching(random: np.random.Generator, normals: int) -> Drift:
    known = draw(random, normals)
    usual = {name: [one.looks[name] for one in known] for name in LOOKS}
    return Drift(usual | {SCORES: [one.score for one in known]}, RULES)


def test_undisturbed_windows_rarely_alarm() -> None:
    """Within three deviations of the stated rate, with new normals for each window."""
    random, windows = np.random.default_rng(0), 1500
    alarms = 0
    for _ in range(windows):
        drift = watching(random, 30)
        alarms += bool(drift.differences(kept(draw(random, WINDOW))))
    assert 0 < alarms <= windows * RATE + 3 * (windows * RATE) ** 0.5


def test_a_change_is_said_once_with_where_it_began_and_where_it_ended() -> None:
    random = np.random.default_rng(1)
    drift = watching(random, 60)
    stream = [*draw(random, 2 * WINDOW), *draw(random, 2 * WINDOW, -2.0), *draw(random, WINDOW)]
    said = {at: line for at, one in enumerate(stream) if (line := drift.add(f"{at}.png", one))}
    assert list(said) == [3 * WINDOW - 1, 5 * WINDOW - 1]
    assert said[3 * WINDOW - 1].startswith(f"drift since {2 * WINDOW}.png: darker (brightness -")
    assert said[5 * WINDOW - 1] == (
        f"no drift any more since {4 * WINDOW}.png (it began at {2 * WINDOW}.png)"
    )
    assert drift.lines == list(said.values())


def test_defects_are_no_drift_and_higher_scores_of_good_images_are() -> None:
    random = np.random.default_rng(2)
    drift = watching(random, 60)
    good = draw(random, WINDOW)
    some = [judged(9.0, dict(one.looks)) if at % 5 == 0 else one for at, one in enumerate(good)]
    assert not drift.differences(kept(some))
    higher = [judged(min(one.score + 1.5, 2.9), dict(one.looks)) for one in good]
    (found,) = drift.differences(kept(higher))
    assert str(found).startswith("higher scores (scores ")


def test_a_model_without_looks_is_compared_by_its_scores_alone() -> None:
    random = np.random.default_rng(3)
    known = draw(random, 40)
    drift = Drift({SCORES: [one.score for one in known]}, RULES)
    assert not drift.differences(kept(draw(random, WINDOW, 5.0)))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("brightness", lambda grey: grey + 20),
        ("contrast", lambda grey: (grey - 100) * 1.3 + 100),
        ("sharpness", lambda grey: grey + np.random.default_rng(5).normal(0, 4, grey.shape)),
        ("colour", lambda grey: grey + np.array([10, 0, -10])[:, None, None]),
    ],
)
def test_looks_say_what_changed(name: str, change) -> None:
    smooth = 100 + 40 * np.sin(np.arange(1500) / 40)[None, None, :] * np.ones((3, 1200, 1))
    before = looks_of(smooth.round().astype(np.uint8))
    after = looks_of(change(smooth).clip(0, 255).round().astype(np.uint8))
    assert after[name] > before[name] * 1.1 + 1
    assert list(after) == list(LOOKS)


def photographs(folder: Path, level: int, count: int) -> Path:
    folder.mkdir(parents=True)
    random = np.random.default_rng(level)
    for number in range(count):
        pixels = random.normal(level, 3, (SIZE, SIZE, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    return folder


@pytest.mark.usefixtures("bright")
def test_predict_says_that_the_light_has_changed(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    record = json.loads((model / "model.json").read_text(encoding="utf-8"))
    known = [np.asarray(Image.open(file)).transpose(2, 0, 1)
             for file in photographs(tmp_path / "known", 60, 30).iterdir()]  # fmt: skip
    looks = [looks_of(picture) for picture in known]
    record["looks"] = {name: sorted(one[name] for one in looks) for name in LOOKS}
    (model / "model.json").write_text(json.dumps(record), encoding="utf-8")
    found = predict(model, photographs(tmp_path / "today", 75, WINDOW))
    assert f"drift since {tmp_path}/today/000.png: brighter (brightness 7" in found.stderr
    usual = predict(model, photographs(tmp_path / "yesterday", 61, WINDOW - 1))
    assert "drift" not in usual.stderr  # fewer than a window are not compared
    as_json = predict(model, tmp_path / "today", "--json")
    summary = json.loads(as_json.stdout.splitlines()[-1])["summary"]
    assert summary["drift"][0].startswith("drift since ")
