"""dvc.yaml names the code and the parameters that each stage really uses, and no other's."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from blemish.core import code as closures
from blemish.core.code import closure, digest, module_file
from blemish.datasets.dataset import module_name
from blemish.datasets.registry import DATA_SETS
from blemish.methods.registry import METHODS

from .workspace import NOT_SOURCE, PROJECT, Workspace

STAGES = [
    *("textures", "folder", "sources", "fetch", "prepare"),
    *("synthesize", "train", "evaluate", "report", "track"),
]
PER_METHOD = {"train", "evaluate"}
CASES = [(s, m) for s in STAGES for m in (METHODS if s in PER_METHOD else [""])]
# Where an own folder lies is no parameter of `fetch`: `folder` hashes what lies there.
# How much disk the image store may take changes no result.
OTHERWISE_COVERED = {
    ("fetch", "data.folders"), ("prepare", "data.folders"), ("train", "data.store_gib"),
    ("evaluate", "data.store_gib"),
}  # fmt: skip


def load_graph(root: Path) -> dict[str, Any]:
    return YAML(typ="safe").load(root / "dvc.yaml")


def listed(root: Path, stage: str, kind: str, method: str) -> list[str]:
    """The `deps` or `params` of a stage, with the method's name in place."""
    entry = load_graph(root)["stages"][stage]
    return [word.replace("${item.method}", method) for word in entry.get("do", entry).get(kind, [])]


def is_code(dependency: str) -> bool:
    return dependency.startswith(("src/", "stages/"))


def code_of(root: Path, stage: str, method: str) -> set[str]:
    """The files that a stage runs, relative to the project: what its imports reach.

    `train` and `evaluate` import the method by its name.
    """
    starts: list[Path | None] = [root / "stages" / f"{stage}.py"]
    if method:
        starts += [module_file(f"blemish.methods.{method}.{part}") for part in ("method", "params")]
    assert None not in starts
    files = set().union(*(closure(start) for start in starts if start))
    return {file.relative_to(root.resolve()).as_posix() for file in files}


def covers(dependency: str, file: str) -> bool:
    return file == dependency or file.startswith(f"{dependency}/")


def unlisted(root: Path, stage: str, method: str) -> set[str]:
    """The files that a stage runs and dvc.yaml does not name."""
    named = listed(root, stage, "deps", method)
    return {
        file
        for file in code_of(root, stage, method)
        if not any(covers(dependency, file) for dependency in named)
    }


def test_every_stage_of_dvc_yaml_is_looked_at() -> None:
    assert set(load_graph(PROJECT)["stages"]) == set(STAGES)
    assert {path.stem for path in (PROJECT / "stages").glob("*.py")} == set(STAGES)


@pytest.mark.parametrize(("stage", "method"), CASES)
def test_the_code_a_stage_runs_is_listed(stage: str, method: str) -> None:
    assert unlisted(PROJECT, stage, method) == set()


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_lists_code_it_does_not_run(stage: str) -> None:
    methods = list(METHODS) if stage in PER_METHOD else [""]
    # One list serves all methods: what some need, such as rendering, a training-free one does not.
    used = {file for method in methods for file in code_of(PROJECT, stage, method)}
    for method in methods:
        for dependency in filter(is_code, listed(PROJECT, stage, "deps", method)):
            assert any(covers(dependency, file) for file in used), dependency


@pytest.mark.parametrize(("stage", "method"), CASES)
def test_what_a_stage_lists_is_there(stage: str, method: str) -> None:
    for dependency in listed(PROJECT, stage, "deps", method):
        if is_code(dependency) or dependency == "requirements.lock":
            assert (PROJECT / dependency).exists(), dependency


@pytest.mark.parametrize(("stage", "method"), CASES)
def test_no_stage_depends_on_another_method(stage: str, method: str) -> None:
    others = {f"src/blemish/methods/{name}/method.py" for name in [*METHODS, "another"]}
    others.discard(f"src/blemish/methods/{method}/method.py")
    for dependency in listed(PROJECT, stage, "deps", method):
        assert not any(covers(dependency, other) for other in others), dependency


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The graph and its code elsewhere, to be changed."""
    for name in ("src", "stages"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=NOT_SOURCE)
    shutil.copyfile(PROJECT / "dvc.yaml", tmp_path / "dvc.yaml")
    monkeypatch.setattr(closures, "SOURCE", tmp_path.resolve() / "src")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "stages"),
    [
        ("src/blemish/metrics/curves.py", "import blemish.textures.bank", {"evaluate"}),
        (
            "src/blemish/methods/glass/method.py",
            "from ...evaluation.curves import auroc",
            {"train"},
        ),
        (
            "src/blemish/methods/training_data.py",
            "def later():\n    from blemish import profiles",
            {"train", "evaluate"},
        ),
        ("stages/report.py", "from blemish.tracking import track", {"report"}),
    ],
)
def test_an_import_that_dvc_yaml_lacks_is_found(
    copy: Path, file: str, line: str, stages: set[str]
) -> None:
    with (copy / file).open("a", encoding="utf-8") as stream:
        stream.write(f"\n\n{line}\n")
    found = {stage for stage, method in CASES if unlisted(copy, stage, method)}
    assert found == stages


def test_a_code_file_taken_off_the_list_is_found(copy: Path) -> None:
    text = (copy / "dvc.yaml").read_text(encoding="utf-8")
    shorter = text.replace("      - src/blemish/metrics/threshold.py\n", "")
    assert shorter != text
    (copy / "dvc.yaml").write_text(shorter, encoding="utf-8")
    assert unlisted(copy, "evaluate", "glass") == {"src/blemish/metrics/threshold.py"}


@pytest.mark.parametrize("name", [*DATA_SETS, "an own folder"])
def test_the_digest_of_a_data_set_changes_with_each_file_of_its_code(copy: Path, name: str) -> None:
    folders = {"an own folder": ".."}
    start = module_file(module_name(name, folders))
    assert start is not None
    assert start.is_relative_to(copy.resolve())
    digests = {digest(start)}
    files = closure(start)
    for file in files:
        with file.open("a", encoding="utf-8") as stream:
            stream.write("# edited\n")
        digests.add(digest(start))
    assert len(digests) == len(files) + 1


def test_the_digest_of_the_rendered_displays_covers_the_whole_renderer() -> None:
    start = module_file("blemish.datasets.lcdsim")
    assert start is not None
    renderer = set((PROJECT / "src/blemish/datasets/displays").resolve().glob("*.py"))
    assert len(renderer) > 5
    assert renderer <= closure(start)


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
            *("textures", "folder@parts", "sources", "report", "track"),
            *(f"{stage}@parts/bolts" for stage in ("fetch", "prepare", "synthesize")),
            *(f"{stage}@lcdsim/grey" for stage in ("fetch", "prepare", "synthesize")),
            *("train@parts/bolts-glass-0", "train@lcdsim/grey-glass-0"),
            *("evaluate@parts/bolts-glass-0", "evaluate@lcdsim/grey-glass-0"),
        ]
    )
