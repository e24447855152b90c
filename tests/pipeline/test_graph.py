"""dvc.yaml names the code and the parameters that each stage really uses, and no other's."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from blemish.methods.registry import METHODS
from stages.code import entry_points

from .workspace import PROJECT, Workspace

STAGES = [
    *("code", "textures", "folder", "sources", "fetch", "prepare"),
    *("synthesize", "train", "evaluate", "audit", "export", "report", "track"),
]
PER_METHOD = {"train", "evaluate", "export"}
CASES = [(s, m) for s in STAGES for m in (METHODS if s in PER_METHOD else [""])]
# Where an own folder lies is no parameter: `folder` always runs, and hashes what lies there.
# How much disk the image store may take changes no result.
OTHERWISE_COVERED = {
    ("folder", "data.folders"), ("fetch", "data.folders"), ("prepare", "data.folders"),
    ("train", "data.store_gib"), ("evaluate", "data.store_gib"), ("audit", "data.store_gib"),
}  # fmt: skip
MOST_LINES = 220  # of dvc.yaml: it is read whole, in a screen or two


def load_graph(root: Path) -> dict[str, Any]:
    return YAML(typ="safe").load(root / "dvc.yaml")


def listed(root: Path, stage: str, kind: str, method: str) -> list[str]:
    """The `deps` or `params` of a stage, with the method's name in place."""
    entry = load_graph(root)["stages"][stage]
    return [word.replace("${item.method}", method) for word in entry.get("do", entry).get(kind, [])]


def covers(dependency: str, file: str) -> bool:
    return file == dependency or file.startswith(f"{dependency}/")


def test_every_stage_of_dvc_yaml_is_looked_at() -> None:
    assert set(load_graph(PROJECT)["stages"]) == set(STAGES)
    assert {path.stem for path in (PROJECT / "stages").glob("*.py")} == set(STAGES)


def test_the_graph_is_short_enough_to_be_read() -> None:
    assert len((PROJECT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize(("stage", "method"), CASES)
def test_a_stage_names_its_code_in_one_line(stage: str, method: str) -> None:
    described = [dep for dep in listed(PROJECT, stage, "deps", method) if "data/code/" in dep]
    own = f"{stage}/{method}" if method else stage
    datasets = ["data/code/datasets"] if stage == "sources" else []
    assert described == ([] if stage == "code" else [*datasets, f"data/code/{own}.json"])
    assert stage == "code" or own in entry_points()


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "code"])
def test_only_the_stage_code_depends_on_files_of_code(stage: str) -> None:
    named = listed(PROJECT, stage, "deps", "glass")
    assert not [dep for dep in named if dep.startswith(("src", "stages", "requirements"))]


def value_at(tree: Any, key: str) -> Any:
    for name in key.split("."):
        tree = tree[name]
    return tree


@pytest.mark.parametrize(("stage", "method"), CASES)
def test_the_parameters_a_stage_lists_are_in_params_yaml(stage: str, method: str) -> None:
    params = YAML(typ="safe").load(PROJECT / "params.yaml")
    for key in listed(PROJECT, stage, "params", method):
        value_at(params, key)


def keys_read(script: Path) -> Iterator[str]:
    """Dotted keys `params.<…>` in a stage's script; what an inner function gets counts whole."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    chains = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for chain in chains:
        root, _, key = chain.partition(".")
        is_prefix = any(other.startswith(f"{chain}.") for other in chains)
        if root == "params" and not is_prefix and key != "method":
            yield key


@pytest.mark.parametrize("stage", STAGES)
def test_the_parameters_a_stage_reads_are_listed(stage: str) -> None:
    keys = listed(PROJECT, stage, "params", "")
    for read in keys_read(PROJECT / "stages" / f"{stage}.py"):
        near = any(covers(key.replace(".", "/"), read.replace(".", "/")) for key in keys)
        parts = any(covers(read.replace(".", "/"), key.replace(".", "/")) for key in keys)
        assert near or parts or (stage, read) in OTHERWISE_COVERED, read


def test_stages_are_named_by_unit_method_and_seed(tiny: Workspace) -> None:
    names = tiny.dvc("stage", "list", "--name-only").split()
    assert sorted(names) == sorted(
        [
            *("code", "textures", "folder@parts", "sources", "report", "track"),
            *(f"{stage}@parts/bolts" for stage in ("fetch", "prepare", "synthesize")),
            *(f"{stage}@lcdsim/grey" for stage in ("fetch", "prepare", "synthesize")),
            *("train@parts/bolts-glass-0", "train@lcdsim/grey-glass-0"),
            *("evaluate@parts/bolts-glass-0", "evaluate@lcdsim/grey-glass-0"),
        ]
    )
