"""Two results on the same images: the change, how sure it is, and what flipped."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from blemish.commands.app import app
from blemish.core.errors import UserError
from blemish.evaluation.compare import Result, compare

GOOD, DEFECTIVE = 60, 40


def scores(gain: float, seed: int = 0, real: bool = False) -> pd.DataFrame:
    """Normal scores around 0, defective ones around `gain`; alarms are above 0.5."""
    random = np.random.default_rng(seed)
    noise = random.normal(0, 0.4, GOOD + DEFECTIVE + 30)
    label = np.r_[np.zeros(GOOD, int), np.ones(DEFECTIVE, int), np.zeros(20, int), np.ones(10, int)]
    table = pd.DataFrame({
        "image": [f"{number:03d}.png" for number in range(len(label))],
        "split": ["test"] * (GOOD + DEFECTIVE) + ["val"] * 30,
        "label": label,
        "defect": np.where(label == 1, "pit", "good"),
        "slice": [""] * (GOOD + DEFECTIVE + 20) + ["feedback"] * 10,
        "group": None,
        "headline": np.arange(len(label)) < GOOD + DEFECTIVE,
        "score": noise + gain * label,
    })  # fmt: skip
    table["decision"] = (table["score"] > 0.5).astype(np.int8)
    return table if real else table[table["slice"] != "feedback"]


def result(table: pd.DataFrame, unit: str = "elpv/mono") -> Result:
    return Result(table, {"unit": unit})


def test_the_numbers_are_those_of_the_images_and_the_interval_is_paired() -> None:
    before, after = scores(0.8), scores(1.2)
    found = compare(result(before), result(after))
    assert found["left_out"] == 0
    assert "selection" not in found
    part = found["test"]
    assert part["images"] == {"good": GOOD, "defective": DEFECTIVE}
    for name, table in (("before", before), ("after", after)):
        main = table[table["headline"]]
        metrics = {key: values[name] for key, values in part["metrics"].items()}
        assert metrics["image_auroc"] == pytest.approx(roc_auc_score(main["label"], main["score"]))
        assert metrics["recall"] == main["decision"][main["label"] == 1].mean()
        assert metrics["false_alarm_rate"] == main["decision"][main["label"] == 0].mean()
    for values in part["metrics"].values():
        assert values["change"] == values["after"] - values["before"]
        assert values["low"] <= values["change"] <= values["high"]
    # Every good image has the same score twice: paired, that change is surely nothing.
    rate = part["metrics"]["false_alarm_rate"]
    assert (rate["low"], rate["high"]) == (0, 0)
    assert part["metrics"]["recall"]["low"] > 0
    unpaired = compare(result(before), result(scores(1.2, seed=1)))["test"]["metrics"]
    width = [each["image_auroc"]["high"] - each["image_auroc"]["low"]
             for each in (part["metrics"], unpaired)]  # fmt: skip
    assert width[0] < width[1]


def test_what_flipped_is_named() -> None:
    before, after = scores(0.8), scores(0.8)
    chosen = [int(before.index[(before["label"] == label) & (before["decision"] == decision)
                               & before["headline"]][0])
              for label, decision in ((0, 0), (0, 1), (1, 0), (1, 1))]  # fmt: skip
    after.loc[chosen, "decision"] = 1 - after.loc[chosen, "decision"]
    flipped = compare(result(before), result(after))["test"]["flipped"]
    assert {one["image"]: one["what"] for one in flipped} == dict(
        zip(
            [f"{number:03d}.png" for number in chosen],
            ["new false alarm", "false alarm gone", "newly found", "newly missed"],
            strict=True,
        )
    )


def test_images_of_one_object_are_drawn_together_and_others_left_out() -> None:
    before, after = scores(0.8), scores(1.2)
    alone = compare(result(before), result(after))["test"]["metrics"]["image_auroc"]
    for table in (before, after):
        table["group"] = [f"g{number // 10}" for number in range(len(table))]
    grouped = compare(result(before), result(after))["test"]["metrics"]["image_auroc"]
    assert grouped["change"] == alone["change"]
    assert (grouped["low"], grouped["high"]) != (alone["low"], alone["high"])
    found = compare(result(before.iloc[3:]), result(after.iloc[:98]))
    assert found["left_out"] == 3 + 2
    assert found["test"]["images"] == {"good": GOOD - 3, "defective": DEFECTIVE - 2}


def test_real_defects_for_choosing_are_a_part_of_their_own() -> None:
    both = [result(scores(gain, real=True)) for gain in (0.8, 1.2)]
    found = compare(*both)
    assert found["selection"]["images"] == {"good": 20, "defective": 10}
    assert found["test"] == compare(result(scores(0.8)), result(scores(1.2)))["test"]
    assert "selection" not in compare(result(scores(0.8)), both[1])


def test_what_cannot_be_compared_is_one_line() -> None:
    with pytest.raises(UserError, match="results of a/b and of a/c: compare two of one unit"):
        compare(result(scores(1), "a/b"), result(scores(1), "a/c"))
    moved = scores(1).assign(image=lambda table: "x" + table["image"])
    with pytest.raises(UserError, match="share no test image"):
        compare(result(scores(1)), result(moved))


def write(folder: Path, table: pd.DataFrame) -> Path:
    folder.mkdir()
    table.to_parquet(folder / "scores.parquet", index=False)
    (folder / "metrics.json").write_text(json.dumps({"unit": "elpv/mono"}))
    return folder


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["compare", *map(str, words)])


def test_the_command_prints_a_table_or_json(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", scores(0.8)), write(tmp_path / "b", scores(1.2))
    done = run(a, b)
    assert done.exit_code == 0, done.output
    for text in ("image AUROC", "recall", "false alarms", "newly found", "60 good, 40 defective"):
        assert text in done.output
    numbers = json.loads(run(a, b, "--json").output)
    assert numbers == compare(Result.read(a), Result.read(b))
    (b / "scores.parquet").write_bytes(b"PAR1")
    failed = run(a, b)
    assert isinstance(failed.exception, UserError)
    assert str(failed.exception).startswith(f"{b}: holds no results of `dvc repro evaluate`")
