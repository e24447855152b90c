"""The scripts of examples/, as a reader starts them."""

import os
import re
import subprocess
import sys

from .workspace import PROJECT, Workspace, draw_photographs

EXAMPLES = PROJECT / "examples"


def run(name: str, *words: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *words], env=environment, capture_output=True, text=True,
        timeout=580,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_own_images_become_a_detector(tmp_path) -> None:
    draw_photographs(tmp_path / "photos", seed=7, good=20, defective=4)
    said = run("own_images.py", str(tmp_path / "photos"), str(tmp_path / "model"))
    verdicts = re.findall(r"^(good|defective) +[\d.]+ > [\d.]+\? (test/\w+)/", said, re.MULTILINE)
    assert [where for _, where in verdicts].count("test/scratch") == 4
    assert ("defective", "test/scratch") in verdicts
    assert ("good", "test/good") in verdicts
    assert (tmp_path / "model/model.safetensors").is_file()


def test_results_are_read(finished: Workspace) -> None:
    said = run("read_results.py", str(finished.root))
    for unit in ("parts/bolts", "lcdsim/grey"):
        assert f"{unit}-glass-0" in said
        score = finished.json(f"results/{unit}/glass-0/metrics.json")["metrics"]["image_auroc"]
        of_mlflow = said[said.index("MLflow") :]
        assert re.search(rf"{unit} +glass +0 +{score:.3f}", of_mlflow)


def test_a_project_without_results_is_one_line(tiny: Workspace) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "read_results.py", tiny.root], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "no results: run `make repro` there first" in done.stderr


def test_each_is_short() -> None:
    scripts = list(EXAMPLES.rglob("*.py"))
    assert len(scripts) == 3
    for script in scripts:
        assert len(script.read_text(encoding="utf-8").splitlines()) <= 80
