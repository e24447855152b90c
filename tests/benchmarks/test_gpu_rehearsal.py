"""`benchmarks/gpu.py --device cpu --tiny`: all parts run, and finished ones are not repeated."""

import json
import subprocess
import sys
from pathlib import Path

from gpu_proof.record import RESULTS, TABLE, read_results
from gpu_proof.settings import PUBLISHED, SMALL

from tests.benchmarks.conftest import ROOT, Rehearsal, rehearse

STEPS = [method for method in PUBLISHED if method != "patchcore"]
ITEMS = [
    "a/rendering",
    "a/folding",
    *(f"a/{case}" for case in SMALL),
    "b/glass",
    *(f"c/epochs/{method}" for method in PUBLISHED),
    *(f"c/step/{method}" for method in ("glass", "dlas", "dsarad", "esad", "dmad")),
    "c/two at once/glass",
    "d/glass, quick profile",
    "d/glass, published length",
    "e/dsarad, published size",
]


def test_every_part_writes_its_items(rehearsal: Rehearsal) -> None:
    assert rehearsal.status == 0, rehearsal.said
    results = read_results(rehearsal.out)
    assert sorted(results["items"]) == sorted(ITEMS)
    assert all("figures" in found for found in results["items"].values())
    table = (rehearsal.out / TABLE).read_text(encoding="utf-8").splitlines()
    assert len(table) == 2 + len(ITEMS)
    assert results["machine"]["packages"]["torch"]


def test_the_cpu_agrees_with_itself_and_the_forms_with_each_other(rehearsal: Rehearsal) -> None:
    items = read_results(rehearsal.out)["items"]
    judged = {
        n: each["figures"]["within"] for n, each in items.items() if "within" in each["figures"]
    }
    assert len(judged) == 2 + len(SMALL) + 1 + len(STEPS)
    assert all(judged.values()), judged
    for case in SMALL:
        assert items[f"a/{case}"]["figures"]["score_difference"] == 0


def test_a_process_was_killed_and_its_training_went_on(rehearsal: Rehearsal) -> None:
    figures = read_results(rehearsal.out)["items"]["b/glass"]["figures"]
    assert figures["killed_by"] == 9
    assert figures["same_bytes_twice"]
    assert figures["same_bytes_after_kill"]
    assert "going on after epoch 1 of an earlier run" in rehearsal.said


def test_what_is_finished_is_not_done_again(rehearsal: Rehearsal, tmp_path) -> None:
    again = rehearse(tmp_path, "--continue", str(rehearsal.out))
    assert again.status == 0, again.said
    assert again.said.count("finished before") == len(ITEMS)
    assert read_results(tmp_path) == read_results(rehearsal.out)


def test_a_part_whose_time_is_over_is_not_begun(tmp_path) -> None:
    done = rehearse(tmp_path, "--minutes", "0", "--parts", "de")
    assert done.status == 0, done.said
    assert done.said.count("not begun, the part's time is over") == 3
    assert read_results(tmp_path)["items"] == {}


def test_what_a_user_can_get_wrong_is_one_line(rehearsal: Rehearsal, tmp_path) -> None:
    other = json.loads((rehearsal.out / RESULTS).read_text(encoding="utf-8"))
    other["machine"]["device"] = "NVIDIA B300"
    (tmp_path / RESULTS).write_text(json.dumps(other), encoding="utf-8")
    out = str(tmp_path / "out")
    for words, expected in (
        (["--continue", str(tmp_path)], "measured on NVIDIA B300, and this is"),
        (["--continue", str(tmp_path / "nothing")], "no results of benchmarks/gpu.py"),
        (["--data", str(tmp_path)], "no folder prepared/ in it: make it with"),
        (["--device", "cuda:9"], "--device is 'cuda:9', but PyTorch sees"),
    ):
        command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--out", out, *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert expected in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_the_page_names_every_part_and_command() -> None:
    page = (Path(ROOT) / "benchmarks" / "gpu.md").read_text(encoding="utf-8")
    for word in ("gpu.py pack", "gpu.py check", "gpu.py costs", "--continue", "--tiny", "--parts"):
        assert word in page
