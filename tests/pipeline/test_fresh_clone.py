"""What is committed after a run serves a fresh clone: metrics, experiments, the reference."""

import json
import sys
from dataclasses import replace
from pathlib import Path

from .workspace import Workspace

BLEMISH = (sys.executable, "-c", "from blemish.commands.app import main; main()")
MARKS = "<!-- leaderboard -->\n<!-- /leaderboard -->\n"


def clone_of(workspace: Workspace, base: Path) -> Workspace:
    """A clone by git, which has no cache and no results."""
    base.mkdir()
    workspace.run("git", "clone", "--quiet", str(workspace.root), str(base / "project"))
    return replace(workspace, base=base)


def test_a_clone_shows_the_numbers_and_says_whether_its_own_are_the_same(
    branch: Workspace, tmp_path: Path
) -> None:
    (branch / "README.md").write_text(MARKS, encoding="utf-8")
    assert "no metrics/reference.json" in branch.run(*BLEMISH, "reference")
    branch.run(*BLEMISH, "reference", "--write")
    assert "| `lcdsim/grey` | glass" in (branch / "README.md").read_text(encoding="utf-8")
    branch.commit("The reference")
    assert branch.run(*BLEMISH, "reference").startswith("reference  all 2 models: the same bytes")
    branch.repro("--force", "report")  # which replaces what is its own in metrics/, no more
    assert (branch / "metrics/reference.json").is_file()

    clone = clone_of(branch, tmp_path / "clone")
    assert not (clone / "results").exists()
    summary = branch.json("metrics/summary.json")
    shown = json.loads(clone.dvc("metrics", "show", "--json"))
    assert shown[""]["data"]["metrics/summary.json"]["data"] == summary
    assert clone.dvc("metrics", "diff").strip() == ""
    (experiment,) = (row for row in json.loads(clone.dvc("exp", "show", "--json")) if row["name"])
    assert experiment["data"]["metrics"]["metrics/summary.json"]["data"] == summary
    changed = summary | {"glass": summary["glass"] | {"image_auroc": 2.0}}
    (clone / "metrics/summary.json").write_text(json.dumps(changed), encoding="utf-8")
    assert "glass.image_auroc" in clone.dvc("metrics", "diff")
    missing = clone.run(*BLEMISH, "reference", fails=True)
    assert missing.startswith("error: models/")
    assert "dvc repro" in missing
