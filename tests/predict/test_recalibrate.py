"""Another threshold from confirmed images: no training, nothing half-written."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from blemish.commands.app import app
from blemish.core.errors import UserError
from blemish.images.feedback import IMAGES, Decision, Journal
from blemish.images.manifest import Facts, write_manifest
from blemish.metrics.threshold import expected_rate, threshold_at
from tests.predict.bright import SIZE, write_model

pytestmark = pytest.mark.usefixtures("bright")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "model")
    return tmp_path


def unit_of(root: Path) -> str:
    return str(json.loads((root / "model/model.json").read_text())["unit"])


def confirm(root: Path, values: dict[int, str]) -> Journal:
    """Even images of some brightness, 0 to 255, with what they are."""
    journal = Journal(root / "data/feedback" / unit_of(root))
    for value, what in values.items():
        photo = root / f"{value}.png"
        Image.fromarray(np.full((SIZE, SIZE, 3), value, np.uint8)).save(photo)
        name = journal.keep(photo)
        journal.add(Decision(name, what) if what in ("good", "unsure")
                    else Decision(name, "defect", what))  # fmt: skip
    return journal


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["recalibrate", "model", *words])


def facts(folder: Path) -> Any:
    return json.loads((folder / "model.json").read_text())


def test_confirmed_images_move_the_threshold(root: Path) -> None:
    confirm(root, {200: "good", 210: "good", 220: "unsure", 250: "pit"})
    before = facts(root / "model")
    done = run("--false-alarm-rate", "0.2", "--out", "new")
    assert done.exit_code == 0, done.output
    after = facts(root / "new")
    old, now = before["validation"]["normal_scores"], after["validation"]["normal_scores"]
    added = sorted(set(now) - set(old))
    assert added == pytest.approx([10 * 200 / 255, 10 * 210 / 255])
    assert len(now) == len(old) + 2
    limits = threshold_at(old, 0.2), threshold_at(now, 0.2)
    assert f"{limits[0]:.5g} → {limits[1]:.5g}" in done.output
    assert (
        f"{100 * expected_rate(len(now), 0.2)['expected_rate']:.2g} % false alarms" in done.output
    )
    assert "of 1 confirmed defective images 1 were alarms, 1 are now" in done.output
    assert facts(root / "model") == before
    del before["validation"], after["validation"]
    assert after["facts"].pop("confirmed_normals") == 2
    assert after == before
    weights = [(root / name / "model.safetensors").read_bytes() for name in ("model", "new")]
    assert weights[0] == weights[1]
    judged = CliRunner().invoke(app, ["predict", "new", "250.png", "--false-alarm-rate", "0.2",
                                      "--json"])  # fmt: skip
    row = json.loads(judged.output.splitlines()[0])
    assert row["threshold"] == limits[1]


def test_images_that_the_model_was_made_with_do_not_count_again(root: Path) -> None:
    journal = confirm(root, {200: "good", 210: "good"})
    used = journal.rows()[0].image
    prepared = root / "data/prepared" / unit_of(root)
    prepared.mkdir(parents=True)
    row = {"image": f"train/good/feedback-{used[:16]}.png", "split": "train", "label": 0}
    write_manifest([row], Facts(unit_of(root), "none"), prepared / "manifest.parquet")
    done = run()
    assert done.exit_code == 0, done.output
    assert "1 confirmed image(s) are in data/prepared already" in done.output
    out = root / "recalibrated" / unit_of(root) / "bright-0"
    assert facts(out)["facts"]["confirmed_normals"] == 1


def test_what_cannot_be_done_is_one_line_and_writes_nothing(root: Path) -> None:
    def fails(message: str, *words: str) -> None:
        done = run("--out", "new", *words)
        assert isinstance(done.exception, UserError), done.output
        assert message in str(done.exception)
        assert not (root / "new").exists()

    fails("nothing is confirmed there: `blemish review")
    journal = confirm(root, {250: "pit"})
    fails("no confirmed good image is new to model")
    confirm(root, {200: "good"})
    fails("name a folder beside the model", "--out", "model/inside")
    image = journal.folder / IMAGES / journal.rows()[-1].image
    image.write_bytes(image.read_bytes()[:60])
    fails(image.name)
    shutil.rmtree(root / "model")
    fails("model: not the folder of a trained model")
