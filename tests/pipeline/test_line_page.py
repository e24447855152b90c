"""A day by docs/line.md: every command of the page, run in its order on a finished project."""

import csv
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import requests

from .workspace import OWN, PROJECT, RENDERED, Repro, Workspace, draw_photographs

PAGE = (PROJECT / "docs/line.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
PATIENCE = 500  # s
FEEDBACK = f"data/feedback/{OWN}"


class Day:
    """A project, and the environment in which the page's commands run there."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.environment = workspace.environment()
        tools = workspace.base / "bin"
        tools.mkdir()
        for name, program in (("blemish", "blemish.commands.app"), ("dvc", "dvc.cli")):
            tool = tools / name
            call = f"import sys; from {program} import main; sys.exit(main())"
            tool.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{call}' \"$@\"\n")
            tool.chmod(0o755)
        self.environment["PATH"] = f"{tools}:{self.environment['PATH']}"
        self.environment["MLFLOW_TRACKING_URI"] = "sqlite:///mlflow.db"

    def run(self, commands: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", commands], cwd=self.workspace.root, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    def rows(self, path: str) -> dict[str, tuple[str, int, str]]:
        """Image → split, label, slice, by a manifest."""
        rows = pq.read_table(self.workspace / path / "manifest.parquet").to_pylist()
        return {row["image"]: (row["split"], row["label"], row["slice"]) for row in rows}


def block(beginning: str) -> str:
    (found,) = {text for text in BLOCKS if text.startswith(beginning)}
    return str(found)


@pytest.fixture(scope="module")
def day(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Day:
    """A shift: five good photographs and two scratched ones that nobody has seen."""
    workspace = finished.branch(tmp_path_factory.mktemp("line") / "base")
    draw_photographs(workspace.base / "shift", seed=7, good=5, defective=2)
    for number, photo in enumerate(sorted((workspace.base / "shift").glob("[gs]*/*.png"))):
        if photo.parent.name in {"good", "scratch"}:
            target = workspace / "camera" / f"{number}-{photo.parent.name}.png"
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(photo, target)
    return Day(workspace)


def review(day: Day, decide: dict[str, tuple[str, str]]) -> None:
    """The page's `blemish review`, and what its page sends when somebody decides."""
    command = "exec " + block("blemish review").replace("5005", "0")
    server = subprocess.Popen(
        ["bash", "-c", command], cwd=day.workspace.root, env=day.environment, text=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert server.stdout is not None
    try:
        found = re.search(r"http://[\d.]+:\d+", server.stdout.readline())
        assert found
        web, headers = found[0], {"Origin": found[0]}
        for one in requests.get(f"{web}/images", timeout=60).json()["images"]:
            what, kind = decide[one["name"]]
            details = requests.get(f"{web}/images/{one['key']}", timeout=60).json()
            assert details["overlay"]
            fields = {"key": one["key"], "digest": details["digest"], "decision": what,
                      "defect": kind}  # fmt: skip
            answer = requests.post(f"{web}/decide", json=fields, headers=headers, timeout=60)
            assert answer.status_code == 200, answer.text
    finally:
        server.send_signal(signal.SIGINT)
        said, _ = server.communicate(timeout=60)
    assert said == f"{FEEDBACK}: 4 good, 2 defective, 1 unsure\n"


def test_a_day_by_the_page(day: Day) -> None:
    workspace = day.workspace
    before = day.rows(f"data/prepared/{OWN}")
    day.run(block("blemish watch"))
    with (workspace / "judged" / OWN / "scores.csv").open(encoding="utf-8") as stream:
        names = [row["image"] for row in csv.DictReader(stream)]
    assert len(names) == 7
    decide = {name: ("defect", "new scratch") if "scratch" in name else ("good", "")
              for name in names}  # fmt: skip
    decide[next(name for name in names if "good" in name)] = ("unsure", "")
    review(day, decide)

    said = day.run(block("blemish recalibrate"))
    assert "4 of them confirmed ones" in said
    assert "of 2 confirmed defective images" in said
    day.run(block("blemish predict"))
    assert (workspace / "again.csv").is_file()

    done = Repro(day.run(block("git add data/feedback")))
    assert {f"prepare@{OWN}", f"train@{OWN}-glass-0", f"evaluate@{OWN}-glass-0"} <= done.ran
    assert not {stage for stage in done.ran if RENDERED in stage}
    after = day.rows(f"data/prepared/{OWN}")
    assert {image: row for image, row in after.items() if "feedback-" not in image} == before
    joined = [row for image, row in after.items() if "feedback-" in image]
    assert sum(row[1] for row in joined) == 2
    assert {row for row in joined if row[1]} == {("val", 1, "feedback")}
    assert len(joined) == 6
    assert {row[0] for row in joined if not row[1]} <= {"train", "val"}
    record = workspace.json(f"results/{OWN}/glass-0/metrics.json")
    assert record["counts"]["test_defective"] == 3
    assert record["selection"]["count"] == 2
    assert set(record["selection"]["slices"]) == {"feedback"}
    assert "selection" not in workspace.json(f"results/{RENDERED}/glass-0/metrics.json")

    compared = day.run(block("blemish compare"))
    assert "image AUROC" in compared
    assert "decision(s) changed" in compared
    assert Repro(day.run("dvc repro")).ran == {"folder@parts", "track"}  # that always look


def test_real_defects_for_choosing(day: Day) -> None:
    workspace = day.workspace
    assert f"{OWN}: 0.34" in PAGE
    workspace.set({"data.selection": {OWN: 0.34}, "tracking.promote_by": "selection_image_auroc"})
    before = day.rows(f"data/prepared/{OWN}")
    said = day.run(block("dvc repro\nblemish promote"))
    ran = Repro(said).ran
    assert f"prepare@{OWN}" in ran
    assert not {stage for stage in ran if RENDERED in stage}
    after = day.rows(f"data/prepared/{OWN}")
    moved = [image for image, row in after.items() if row[2] == "selection"]
    assert moved == [image for image in after if image not in before]
    assert len(moved) == 2  # the first group that reaches 0.34 of 3
    record = workspace.json(f"results/{OWN}/glass-0/metrics.json")
    assert record["counts"]["test_defective"] == 1
    assert set(record["selection"]["slices"]) == {"feedback", "selection"}
    value = record["selection"]["image_auroc"]
    assert f"image_auroc on real defects set apart {value:.4g}" in said
    report = (workspace / "report/index.html").read_text(encoding="utf-8")
    assert "What chose what" in report


def test_other_light_and_the_audit(day: Day) -> None:
    workspace = day.workspace
    results = f"results/{OWN}/glass-0/metrics.json"
    day.run(block("blemish run -S evaluation.robustness"))
    found = workspace.json(results)["robustness"]
    assert len(found["curve"]) == 28
    report = (workspace / "report/index.html").read_text(encoding="utf-8")
    assert "Other light, other place" in report
    assert ">Robust<" in report
    assert (workspace / f"plots/robustness/{OWN}/glass-0/gain.csv").is_file()

    day.run(block("blemish run -S audit.units"))
    folder = workspace / "audit" / OWN
    with (folder / "audit.csv").open(encoding="utf-8") as stream:
        ranked = list(csv.DictReader(stream))
    first = next(row["image"] for row in ranked if row["split"] == "train")
    assert (folder / "sheet.jpg").is_file()
    before = day.rows(f"data/prepared/{OWN}")
    assert f"  drop:\n    {OWN}: [train/" in PAGE
    workspace.set({"audit.drop": {OWN: [first]}})
    (again,) = {text for text in BLOCKS if text == "dvc repro\n"}
    assert f"prepare@{OWN}" in Repro(day.run(again)).ran
    after = day.rows(f"data/prepared/{OWN}")
    assert before.keys() - after.keys() == {first}
    assert {image: before[image] for image in after} == after


def test_every_command_of_the_page_is_run_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    begun = [one.replace("\\n", "\n") for one in re.findall(r'block\("([^"]+)"\)', text)]
    for commands in set(BLOCKS) - {"dvc repro\n"}:
        assert any(commands.startswith(beginning) for beginning in begun), commands
