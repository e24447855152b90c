"""What a change reruns, and what it leaves alone, told by the real DVC.

An edit of code is first described by the stage `code`; then `dvc repro --dry` names the stages
whose own code, parameters or inputs have changed. That later stages follow where an output became
another one is DVC's part, and is looked at in the real runs.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from blemish.core.code import SOURCE, closure, module_file
from blemish.datasets.dataset import module_name
from blemish.datasets.registry import DATA_SETS
from blemish.images.feedback import Decision, Journal
from blemish.methods.registry import METHODS

from .workspace import RENDERED, TINY, UNITS, Repro, Workspace

FETCH = {f"fetch@{unit}" for unit in UNITS}
PREPARE = {f"prepare@{unit}" for unit in UNITS}
SYNTHESIZE = {f"synthesize@{unit}" for unit in UNITS}
TRAIN = {f"train@{unit}-glass-0" for unit in UNITS}
# MLflow and the photographs are not in DVC's sight.
ALWAYS = {"folder@parts", "track"}
EVALUATE = {f"evaluate@{unit}-glass-0" for unit in UNITS}


def rerun(workspace: Workspace) -> set[str]:
    """The stages that an edit of code concerns, the two that always look left out."""
    workspace.repro("code")
    return workspace.repro("--dry").ran - ALWAYS


def test_a_second_run_does_nothing_but_look(finished: Workspace, again: Repro) -> None:
    assert again.ran == ALWAYS
    assert again.cached == set()
    assert again.unchanged == finished.lock().keys() - ALWAYS


def test_what_the_stages_imported_is_described(finished: Workspace) -> None:
    """What was in memory when they ended, imports by computed name included."""
    # Every stage checks the whole of params.yaml; that can stop it but not change what it makes.
    checks = [
        "methods.grid",
        "methods.registry",
        "synthesis.kinds",
        "core.stage_times",  # notes when a stage ran, and changes nothing of what it makes
        "core.scoring_times",  # likewise how fast it is
        *(f"methods.{name}.params" for name in METHODS),
    ]
    modules = [*(f"blemish.{name}" for name in checks)]
    modules += [module_name(name, {"own": ""}) for name in [*DATA_SETS, "own"]]
    starts = [file for file in map(module_file, modules) if file]
    checking = {f"src/{path.relative_to(SOURCE)}" for path in closure(starts)}
    stages = finished.lock()
    logs = {name: finished.imports / f"{name}.json" for name in stages}
    for stage, log in logs.items():
        imported = [Path(path) for path in json.loads(log.read_text(encoding="utf-8"))]
        assert len(imported) > 4
        assert all(path.is_relative_to(finished.root) for path in imported), imported
        files = {path.relative_to(finished.root).as_posix() for path in imported} - checking
        if stage == "code":
            continue  # depends on all of src/
        deps = [dep["path"] for dep in stages[stage]["deps"]]
        (description,) = (dep for dep in deps if re.match(r"data/code/.+\.json", dep))
        described = finished.json(description)["code"]
        assert files <= described.keys(), f"{stage}: {files - described.keys()}"


@pytest.fixture(scope="module")
def changed(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return finished.branch(tmp_path_factory.mktemp("changed") / "base")


@pytest.fixture
def clean(changed: Workspace) -> Iterator[Workspace]:
    """A finished workspace in which git undoes what a test changes."""
    yield changed
    changed.git("checkout", "--quiet", "--", ".")
    changed.git("clean", "--quiet", "--force", "-d")


@pytest.fixture
def sources(clean: Workspace) -> Iterator[Workspace]:
    """As `clean`; what the stage `sources` wrote meanwhile is undone, too."""
    yield clean
    clean.git("checkout", "--quiet", "--", ".")
    clean.git("clean", "--quiet", "--force", "-d")
    clean.repro("sources")


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
    assert clean.repro("--dry").ran == expected | ALWAYS


def test_a_new_crop_concerns_the_synthesis_alone(clean: Workspace) -> None:
    (clean.root / "data/crops/scratch.png").write_bytes(b"never opened: no share for crops")
    assert clean.repro("--dry").ran == SYNTHESIZE | ALWAYS


def test_a_unit_s_zones_concern_this_unit_alone(sources: Workspace) -> None:
    sources.set({"data.zones": {RENDERED: {"rim": {"min_area": 4}}}})
    mask = np.zeros((96, 96), np.uint8)
    mask[:8] = 255
    folder = sources.root / "data/zones" / RENDERED
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "rim.png"), mask)
    assert sources.repro("sources").ran == {"folder@parts", "sources"}
    stages = {f"{stage}@{RENDERED}" for stage in ("fetch", "prepare")}
    assert sources.repro("--dry").ran == stages | ALWAYS


def test_a_unit_s_feedback_concerns_this_unit_alone(sources: Workspace) -> None:
    journal = Journal(sources.root / "data/feedback" / RENDERED)
    (photo,) = list((sources.photos / "bolts/good").glob("*.png"))[:1]
    name = journal.keep(photo)
    journal.add(Decision(name, "unsure"))
    assert sources.repro("sources").ran == {"folder@parts", "sources"}
    assert sources.repro("--dry").ran == ALWAYS  # nothing follows from it
    journal.add(Decision(name, "good"))
    assert sources.repro("sources").ran == {"folder@parts", "sources"}
    stages = {f"{stage}@{RENDERED}" for stage in ("fetch", "prepare")}
    assert sources.repro("--dry").ran == stages | ALWAYS


def test_what_is_asked_for_a_unit_concerns_this_unit_alone(sources: Workspace) -> None:
    sources.set({"data.framing": {RENDERED: {"resize": "fit"}}})
    assert sources.repro("sources").ran == {"folder@parts", "sources"}
    stages = {f"{stage}@{RENDERED}" for stage in ("fetch", "prepare")}
    assert sources.repro("--dry").ran == stages | ALWAYS


def test_comments_and_docstrings_concern_nothing(clean: Workspace) -> None:
    """In every file of the code at once; only the stage that describes the code runs."""
    for file in [*clean.root.glob("src/blemish/**/*.py"), *clean.root.glob("stages/*.py")]:
        text = file.read_text(encoding="utf-8")
        edited = text.replace('"""', '"""Edited. ', 1) + "\n# edited\n"
        file.write_text(edited, encoding="utf-8")
    assert clean.repro("code").ran == {"code"}
    assert clean.repro("--dry").ran == ALWAYS


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            "src/blemish/metrics/curves.py",
            EVALUATE | {"report"},
        ),  # which reads the table of metrics
        ("src/blemish/evaluation/scoring.py", EVALUATE),
        ("src/blemish/methods/glass/params.py", TRAIN | EVALUATE),
        ("src/blemish/methods/dmad/params.py", set()),
        ("src/blemish/methods/registry.py", {"report"}),  # says which are training-free
        ("src/blemish/methods/grid.py", set()),
        ("src/blemish/report/templates/style.css", {"report"}),
        ("src/blemish/tracking/mlflow_store.py", set()),
        ("src/blemish/run/screen.py", set()),
        ("stages/report.py", {"report"}),
        ("stages/train.py", TRAIN),
    ],
)
def test_an_edit_concerns_the_stages_that_run_it(
    clean: Workspace, file: str, expected: set[str]
) -> None:
    clean.edit(file, lambda text: f"{text}\nEDITED = 1\n")
    assert rerun(clean) == expected


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        # `sources` has the code of the data sets: the rendered displays are drawn with OpenCV.
        (
            "opencv-python-headless",
            PREPARE | SYNTHESIZE | TRAIN | EVALUATE | {"sources", "textures"},
        ),
        ("timm", TRAIN | EVALUATE),
        ("scikit-learn", EVALUATE | {"report", "textures"}),
        ("matplotlib", EVALUATE | {"report"}),
        ("mlflow", set()),
        ("ray", set()),
    ],
)
def test_an_upgrade_concerns_the_stages_that_import_the_package(
    clean: Workspace, package: str, expected: set[str]
) -> None:
    clean.edit(
        "requirements.lock",
        lambda text: re.sub(rf"^{package}==.*$", f"{package}==999.0", text, flags=re.MULTILINE),
    )
    assert rerun(clean) == expected


def test_glass_s_own_code_concerns_glass_and_its_relatives(branch: Workspace) -> None:
    of_glass = {key.partition(".")[2]: value for key, value in TINY.items() if "glass." in key}
    tiny = {f"dlas.{key}": value for key, value in of_glass.items()}
    tiny |= {"patchcore.image_size": 64, "patchcore.weights": "random"}
    methods = ("glass", "dlas", "patchcore")
    branch.set({**tiny, "units": [RENDERED], "methods": list(methods)})
    branch.repro(*(f"train@{RENDERED}-{method}-0" for method in methods))
    branch.edit(
        "src/blemish/methods/glass/ascent.py", lambda text: text + "\nANOTHER = 'constant'\n"
    )
    branch.repro("code")
    targets = [f"train@{RENDERED}-{method}-0" for method in methods]
    assert branch.repro("--dry", *targets).ran - ALWAYS == set(targets[:2])


def test_another_method_concerns_none_of_the_first(clean: Workspace) -> None:
    other = clean / "src/blemish/methods/other/detector.py"
    other.parent.mkdir()
    other.write_text("DETECTOR = None\n", encoding="utf-8")
    clean.edit(
        "src/blemish/methods/registry.py",
        lambda text: text.replace(
            '    "glass"', '    "other": Entry(title="Other", reference=""),\n    "glass"'
        ),
    )
    assert rerun(clean) == {"report"}


def test_another_data_set_concerns_none_of_the_first(clean: Workspace) -> None:
    other = clean / "src/blemish/datasets/other.py"
    other.write_text("DATA_SETS = ()\n", encoding="utf-8")
    clean.edit(
        "src/blemish/datasets/registry.py",
        lambda text: text.replace("DATA_SETS = {", 'DATA_SETS = {\n    "other": "other",'),
    )
    clean.repro("code")
    assert clean.repro("--dry").ran == {"sources"} | ALWAYS
    assert clean.repro("sources").ran == {"sources", "folder@parts"}
    assert clean.repro("--dry").ran == ALWAYS


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
    branch.edit(file, lambda text: f"{text}\nEDITED = 1\n")
    ran = branch.repro(*(f"prepare@{name}" for name in UNITS)).ran
    own = {f"fetch@{unit}", f"prepare@{unit}"} if unit else set()
    assert ran == {"code", "sources", "folder@parts"} | own
    # The same bytes came out, so nothing that follows is run.
    assert branch.repro("--dry").ran == ALWAYS


def test_a_new_unit_runs_its_own_stages(branch: Workspace) -> None:
    branch.set({"units": [*UNITS, "parts/nuts"]})
    done = branch.repro()
    own = {f"{stage}@parts/nuts" for stage in ("fetch", "prepare", "synthesize")}
    own |= {f"{stage}@parts/nuts-glass-0" for stage in ("train", "evaluate")}
    assert done.ran == own | {"sources", "report"} | ALWAYS
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
    assert branch.repro("--dry").ran == follows | ALWAYS


def files_of(workspace: Workspace) -> dict[str, bytes]:
    folders = [workspace / name for name in ("models", "results", "metrics")]
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files}


def test_a_misspelt_parameter_stops_before_anything_runs(branch: Workspace) -> None:
    branch.set({"glass.epoch": 3})
    before = files_of(branch)
    said = branch.run("blemish", "run", fails=True)
    assert len(said.splitlines()) == 1
    assert said.startswith("error: params.yaml: unknown key `glass.epoch` (did you mean 'epochs'?)")
    assert files_of(branch) == before
    stopped = branch.repro("--single-item", sorted(TRAIN)[0], fails=True)
    assert len(stopped.ran) == 1
    assert stopped.errors[0] == said.strip()
    assert "Traceback" not in stopped.text
    # DVC had made room for the stage's output; it is in the cache.
    branch.git("checkout", "--quiet", "--", "params.yaml")
    mended = branch.repro()
    assert mended.ran == ALWAYS
    assert mended.cached == stopped.ran
    assert files_of(branch) == before
