"""What a change reruns, and what it leaves alone, told by the real DVC.

`dvc repro --dry` names the stages whose own code, parameters or inputs have changed; that later
stages follow where an output became another one is DVC's part, and is looked at in the real runs.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from blemish.core.code import SOURCE, closure, module_file
from blemish.datasets.registry import DATA_SETS
from blemish.methods.registry import METHODS

from .test_graph import covers
from .workspace import UNITS, Repro, Workspace

TRAIN = {f"train@{unit}-glass-0" for unit in UNITS}
EVALUATE = {f"evaluate@{unit}-glass-0" for unit in UNITS}
SYNTHESIZE = {f"synthesize@{unit}" for unit in UNITS}


def test_a_second_run_does_nothing_but_look_at_mlflow(finished: Workspace, again: Repro) -> None:
    assert again.ran == {"track"}
    assert again.cached == set()
    assert again.unchanged == finished.lock().keys() - {"track"}


def test_what_the_stages_imported_is_listed(finished: Workspace) -> None:
    """What was in memory when they ended, imports by computed name included."""
    # Every stage checks the whole of params.yaml; that can stop it but not change what it makes.
    checks = ["checks", "methods.registry", *(f"methods.{name}.params" for name in METHODS)]
    checks += [f"data.sets.{name.replace('-', '_')}" for name in [*DATA_SETS, "folder"]]
    starts = [module_file(f"blemish.{name}") for name in checks]
    checking = {f"src/{p.relative_to(SOURCE)}" for start in starts if start for p in closure(start)}
    stages = finished.lock()
    logs = {name: finished.imports / f"{name}.json" for name in stages}
    for stage, log in logs.items():
        imported = [Path(path) for path in json.loads(log.read_text(encoding="utf-8"))]
        assert len(imported) > 4
        assert all(path.is_relative_to(finished.root) for path in imported), imported
        files = {path.relative_to(finished.root).as_posix() for path in imported} - checking
        listed = [dependency["path"] for dependency in stages[stage]["deps"]]
        unlisted = {f for f in files if not any(covers(dependency, f) for dependency in listed)}
        assert not unlisted, f"{stage}: {unlisted}"


@pytest.fixture(scope="module")
def changed(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return finished.branch(tmp_path_factory.mktemp("changed") / "base")


@pytest.fixture
def clean(changed: Workspace) -> Iterator[Workspace]:
    """A finished workspace in which git undoes what a test changes."""
    yield changed
    changed.git("checkout", "--quiet", "--", ".")
    changed.git("clean", "--quiet", "--force", "-d")


def comment(text: str) -> str:
    return f"{text}\n# edited\n"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"glass.epochs": 3}, TRAIN),
        ({"synthesis.weak": [0.4]}, SYNTHESIZE),
        ({"evaluation.false_alarm_rate": 0.1}, EVALUATE),
        ({"tracking.experiment": "another"}, set()),
        ({"data.lcdsim.contrast": 2.0}, {"sources"}),
    ],
    ids=["a method", "synthesis", "evaluation", "tracking", "a data set"],
)
def test_a_parameter_concerns_its_own_stages(
    clean: Workspace, values: dict[str, object], expected: set[str]
) -> None:
    clean.set(values)
    assert clean.repro("--dry").ran == expected | {"track"}


def test_a_new_crop_concerns_the_synthesis_alone(clean: Workspace) -> None:
    (clean.root / "data/crops/scratch.png").write_bytes(b"never opened: no share for crops")
    assert clean.repro("--dry").ran == SYNTHESIZE | {"track"}


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("src/blemish/metrics/curves.py", EVALUATE),
        ("src/blemish/methods/glass/method.py", TRAIN | EVALUATE),
        ("src/blemish/methods/registry.py", {"report"}),  # says which are training-free
        ("src/blemish/core/checks.py", set()),
        ("src/blemish/report/templates/style.css", {"report"}),
        ("src/blemish/tracking/mlflow_store.py", set()),
        ("requirements.lock", TRAIN),
    ],
)
def test_an_edit_concerns_the_stages_that_run_it(
    clean: Workspace, file: str, expected: set[str]
) -> None:
    clean.edit(file, comment)
    assert clean.repro("--dry").ran == expected | {"track"}


def test_another_method_concerns_none_of_the_first(clean: Workspace) -> None:
    other = clean / "src/blemish/methods/other/method.py"
    other.parent.mkdir()
    other.write_text("METHOD = None\n", encoding="utf-8")
    clean.edit(
        "src/blemish/methods/registry.py",
        lambda text: text.replace(
            '    "glass"', '    "other": Entry(title="Other", reference=""),\n    "glass"'
        ),
    )
    assert clean.repro("--dry").ran == {"report", "track"}


@pytest.mark.parametrize(
    ("file", "unit"),
    [
        ("src/blemish/datasets/displays/shapes.py", "lcdsim/grey"),
        ("src/blemish/datasets/own_folder.py", "parts/bolts"),
        ("src/blemish/datasets/magnetic_tile.py", None),
    ],
)
def test_the_code_of_a_data_set_concerns_its_own_units(
    branch: Workspace, file: str, unit: str | None
) -> None:
    branch.edit(file, comment)
    ran = branch.repro(*(f"prepare@{name}" for name in UNITS)).ran
    own = {f"fetch@{unit}", f"prepare@{unit}"} if unit else set()
    lists = {"folder@parts"} if "folder" in file else set()
    assert ran == {"sources"} | own | lists
    # The same bytes came out, so nothing that follows is run.
    assert branch.repro("--dry").ran == {"track"}


def test_a_new_unit_runs_its_own_stages(branch: Workspace) -> None:
    branch.set({"units": [*UNITS, "parts/nuts"]})
    done = branch.repro()
    own = {f"{stage}@parts/nuts" for stage in ("fetch", "prepare", "synthesize")}
    own |= {f"{stage}@parts/nuts-glass-0" for stage in ("train", "evaluate")}
    assert done.ran == own | {"sources", "report", "track"}
    assert "1 added, 2 already there" in done.text


def invert(image: Path) -> None:
    pixels = cv2.imdecode(np.fromfile(image, np.uint8), cv2.IMREAD_COLOR)
    image.write_bytes(cv2.imencode(".png", 255 - pixels)[1].tobytes())


@pytest.mark.parametrize(
    ("image", "ran", "follows"),
    [
        (
            "bolts/good/000.png",
            {"folder@parts", "sources", "fetch@parts/bolts", "prepare@parts/bolts"},
            {"synthesize@parts/bolts", "train@parts/bolts-glass-0", "evaluate@parts/bolts-glass-0"},
        ),
        ("nuts/good/000.png", {"folder@parts", "sources"}, set()),
    ],
)
def test_a_changed_image_of_an_own_folder_concerns_its_unit(
    branch: Workspace, image: str, ran: set[str], follows: set[str]
) -> None:
    invert(branch.photos / image)
    assert branch.repro(*(f"prepare@{name}" for name in UNITS)).ran == ran
    assert branch.repro("--dry").ran == follows | {"track"}


def files_of(workspace: Workspace) -> dict[str, bytes]:
    folders = [workspace / name for name in ("models", "results", "metrics")]
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files}


def test_a_misspelt_parameter_stops_before_anything_runs(branch: Workspace) -> None:
    branch.set({"glass.epoch": 3})
    before = files_of(branch)
    said = branch.run("blemish", "run", fails=True)
    assert len(said.splitlines()) == 1
    assert said.startswith("error: params.yaml: unknown key `glass.epoch` (did you mean `epochs`?)")
    assert files_of(branch) == before
    stopped = branch.repro(fails=True)
    assert len(stopped.ran) == 1
    assert stopped.errors[0] == said.strip()
    assert "Traceback" not in stopped.text
    # DVC had made room for the stage's output; it is in the cache.
    branch.git("checkout", "--quiet", "--", "params.yaml")
    mended = branch.repro()
    assert mended.ran == {"track"}
    assert mended.cached == stopped.ran
    assert files_of(branch) == before
