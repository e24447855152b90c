"""Each tracked result has a LoggedModel, linked to its run, its numbers and its data."""

import base64
import io
import json
import os
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.models import Model
from PIL import Image

from blemish.core.stage_times import TIMES
from blemish.tracking.track import Tracked
from tests.tracking.results import active_runs, make_workspace, track_all

PLACE = "elpv/mono/glass-0"


def model_of(root: Path, run: Run) -> LoggedModel:
    assert run.outputs is not None
    (output,) = run.outputs.model_outputs
    return MlflowClient(f"sqlite:///{root}/mlflow.db").get_logged_model(output.model_id)


@pytest.fixture
def model(workspace: Path, run: Run) -> LoggedModel:
    return model_of(workspace, run)


@pytest.fixture
def files(workspace: Path, model: LoggedModel) -> Path:
    """The model's folder in the store."""
    return workspace / "mlruns/blemish/models" / model.model_id / "artifacts"


def test_the_model_says_what_it_is(model: LoggedModel, run: Run) -> None:
    assert str(model.status) == "READY"
    assert (model.name, model.model_type) == ("elpv-mono-glass-0", "glass")
    assert model.source_run_id == run.info.run_id
    assert model.tags.items() >= {"unit": "elpv/mono", "method": "glass", "seed": "0"}.items()
    assert model.tags["blemish.result"] == run.data.tags["blemish.result"]
    assert model.params == run.data.params


def test_its_numbers_are_the_runs_and_name_their_data(model: LoggedModel, run: Run) -> None:
    assert model.metrics
    numbers = {one.key: (one.value, one.dataset_name, one.dataset_digest) for one in model.metrics}
    digest = {one.dataset.name: one.dataset.digest for one in run.inputs.dataset_inputs}
    test, made = "elpv/mono test", "elpv/mono synthetic"
    assert numbers["image_auroc"] == (0.91, test, digest[test])
    assert numbers["validation_image_auroc"] == (0.97, made, digest[made])
    assert numbers["defect/crack _severe__../recall"] == (0.8, test, digest[test])
    assert "loss" not in numbers


def test_its_files_are_links_to_the_workspace(workspace: Path, files: Path) -> None:
    for name in ("model.json", "model.safetensors", "curves.csv"):
        assert (files / "data/model" / name).samefile(workspace / "models" / PLACE / name)


def test_it_has_signature_example_requirements_and_code(files: Path) -> None:
    described = Model.load(str(files))
    flavor = described.flavors["python_function"]
    assert flavor["loader_module"] == "blemish.predict.pyfunc"
    assert described.signature.inputs.input_names() == ["image"]
    assert {"score", "decision", "regions"} <= set(described.signature.outputs.input_names())
    example = json.loads((files / "input_example.json").read_text())["image"]
    with Image.open(io.BytesIO(base64.b64decode(example))) as picture:
        assert picture.size == (320, 224)
    lines = (files / "requirements.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines)
    assert {"torch", "numpy", "mlflow", "pillow"} <= pinned.keys()
    assert not {"dvc", "pandas", "scikit-learn"} & pinned.keys()
    code = {file.relative_to(files / "code/blemish").as_posix()
            for file in (files / "code/blemish").rglob("*.py")}  # fmt: skip
    assert {"methods/glass/detector.py", "methods/saved.py", "predict/pyfunc.py"} <= code
    assert not {"methods/glass/training.py", "methods/trainer.py", "methods/dmad/params.py"} & code
    assert not [file for file in files.rglob("*") if file.suffix in (".pkl", ".pickle", ".pth")]


def test_weights_of_single_epochs_are_not_served(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "root")
    (root / "models" / PLACE / "epochs").mkdir()
    (root / "models" / PLACE / "epochs/1.safetensors").write_bytes(b"weights")
    track_all(root, units=["elpv/mono"])
    (run,) = active_runs(f"sqlite:///{root}/mlflow.db")
    model = model_of(root, run)
    data = root / "mlruns/blemish/models" / model.model_id / "artifacts/data/model"
    assert {file.name for file in data.iterdir()} == {
        "model.json", "model.safetensors", "curves.csv",
    }  # fmt: skip


def test_a_run_of_an_earlier_version_gets_its_model(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "root")
    track_all(root, units=["elpv/mono"])
    uri = f"sqlite:///{root}/mlflow.db"
    client = MlflowClient(uri)
    (run,) = active_runs(uri)
    tags = {"blemish.result": run.data.tags["blemish.result"], "mine": "a note"}
    old = client.create_run(run.info.experiment_id, tags=tags)
    client.set_terminated(old.info.run_id)
    client.delete_run(run.info.run_id)
    assert track_all(root, units=["elpv/mono"]) == Tracked(added=0, already=1)
    (now,) = active_runs(uri)
    assert now.data.tags["mine"] == "a note"
    assert str(model_of(root, now).status) == "READY"


def test_a_killed_run_leaves_no_model(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "root")
    track_all(root, units=["elpv/mono"])
    uri = f"sqlite:///{root}/mlflow.db"
    client = MlflowClient(uri)
    (killed,) = active_runs(uri)
    client.update_run(killed.info.run_id, status="RUNNING")
    assert track_all(root, units=["elpv/mono"]) == Tracked(added=1, already=0)
    (model,) = client.search_logged_models([killed.info.experiment_id])
    assert model.source_run_id != killed.info.run_id


def write_times(root: Path, stage: str, began: float, ended: float) -> None:
    file = root / TIMES / f"{stage}@elpv/mono-glass-0.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"began": began, "ended": ended}))


@pytest.mark.parametrize("restored", [False, True])
def test_a_run_lasts_as_long_as_its_stages(tmp_path: Path, restored: bool) -> None:
    root, day = make_workspace(tmp_path / "root"), 86400.0
    now = time.time()
    write_times(root, "train", now - 3 * day, now - 2 * day)
    write_times(root, "evaluate", now - 2 * day, now - day)
    # A file that was written outside of the noted time is of another run of the stage.
    times = (now - 9 * day, now - 8 * day) if restored else (now - 2 * day, now - day)
    for at, written in zip(("models", "results"), times, strict=True):
        for file in (root / at / PLACE).glob("m*.*"):
            os.utime(file, (written, written))
    track_all(root, units=["elpv/mono"])
    (run,) = active_runs(f"sqlite:///{root}/mlflow.db")
    expected = times if restored else (now - 3 * day, now - day)
    assert run.info.start_time == int(1000 * expected[0])
    assert run.info.end_time == int(1000 * expected[1])
