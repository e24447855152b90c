"""`blemish promote`: the best on validation is the champion, the one before it the previous."""

import json
import re
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from ruamel.yaml import YAML
from typer.testing import CliRunner

from blemish.commands.app import app
from blemish.core.errors import UserError
from blemish.tracking.champions import CHAMPIONS, artifact_name
from blemish.tracking.registry import registry_name
from tests.tracking.results import make_workspace, track_all, write_result

UNIT, NAME = "elpv/mono", "elpv.mono"
SEEDS = [0, 1, 2]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tracked workspace with three results of elpv/mono, of which seed 1 is the best."""
    root = make_workspace(tmp_path / "root")
    for seed in SEEDS[1:]:
        write_result(root, UNIT, seed=seed)
    for seed, validation, test in ((0, 0.8, 0.99), (1, 0.9, 0.5), (2, 0.85, 0.7)):
        measure(root, seed, validation, test)
    write_grid(root)
    track_all(root, seeds=SEEDS)
    monkeypatch.chdir(root)
    return root


def measure(root: Path, seed: int, validation: float, test: float) -> None:
    file = root / "results" / UNIT / f"glass-{seed}/metrics.json"
    record = json.loads(file.read_text())
    record["validation"] = {"image_auroc": validation, "pixel_aupro": 1 - validation}
    record["metrics"]["image_auroc"] = test
    file.write_text(json.dumps(record))


def write_grid(root: Path, **tracking: str) -> None:
    grid = {"units": [UNIT, "lcdsim/grey"], "methods": ["glass"], "seeds": SEEDS}
    YAML().dump({**grid, "tracking": tracking}, root / "params.yaml")


def promote(*words: str) -> str:
    done = CliRunner().invoke(app, ["promote", *words])
    if isinstance(done.exception, UserError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def aliases(root: Path) -> dict[str, str]:
    """The seeds of the unit's aliases."""
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    named = client.get_registered_model(NAME).aliases
    return {alias: client.get_model_version_by_alias(NAME, alias).tags["seed"] for alias in named}


def artifact(root: Path) -> str:
    content = YAML(typ="safe").load(root / CHAMPIONS)
    return str(content["artifacts"][UNIT]["path"])


def test_the_best_on_validation_is_the_champion(root: Path, tmp_path: Path) -> None:
    assert promote(UNIT) == (
        "elpv.mono: glass seed 1 is the champion, validation image_auroc 0.9\n"
    )
    assert aliases(root) == {"champion": "1"}
    assert artifact(root) == "../models/elpv/mono/glass-1"
    assert not YAML(typ="safe").load(root / CHAMPIONS)["artifacts"].get("lcdsim/grey")
    held = download_artifacts(f"models:/{NAME}@champion", dst_path=str(tmp_path / "held"),
                              tracking_uri=f"sqlite:///{root}/mlflow.db")  # fmt: skip
    weights = root / "models/elpv/mono/glass-1/model.safetensors"
    assert (Path(held) / "data/model/model.safetensors").read_bytes() == weights.read_bytes()


def test_the_rule_is_in_params(root: Path) -> None:
    write_grid(root, promote_by="pixel_aupro")
    assert "glass seed 0 is the champion, validation pixel_aupro 0.2" in promote(UNIT)
    write_grid(root, promote_by="image_auroc_on_test")
    with pytest.raises(UserError, match=r"params.yaml: `tracking.promote_by` is 'image_auroc_on"):
        promote(UNIT)


def test_real_defects_set_apart_can_be_the_rule(root: Path) -> None:
    write_grid(root, promote_by="selection_recall")
    with pytest.raises(UserError, match=r"no result with a recall on real defects set apart: set "):
        promote(UNIT)
    for seed, recall in ((0, 0.5), (2, 0.75)):  # seed 1 was evaluated before they were set apart
        file = root / "results" / UNIT / f"glass-{seed}/metrics.json"
        record = json.loads(file.read_text()) | {"selection": {"recall": recall}}
        file.write_text(json.dumps(record))
    track_all(root, seeds=SEEDS)
    said = promote(UNIT)
    assert (
        said == "elpv.mono: glass seed 2 is the champion, recall on real defects set apart 0.75\n"
    )


def test_promoting_again_changes_nothing(root: Path) -> None:
    promote(UNIT)
    assert "glass seed 1 was the champion already" in promote(UNIT)
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 1
    assert aliases(root) == {"champion": "1"}


def test_a_better_model_replaces_the_champion_and_back_returns(root: Path) -> None:
    promote(UNIT)
    measure(root, 2, 0.95, 0.1)
    track_all(root, seeds=SEEDS)
    assert "glass seed 2 is the champion" in promote(UNIT)
    assert aliases(root) == {"champion": "2", "previous": "1"}
    assert "glass seed 1 is the champion again" in promote("--back", UNIT)
    assert aliases(root) == {"champion": "1", "previous": "2"}
    assert artifact(root) == "../models/elpv/mono/glass-1"
    promote(UNIT, "--back")
    assert aliases(root) == {"champion": "2", "previous": "1"}
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 2


def test_back_says_where_the_workspace_holds_another_model_by_now(root: Path) -> None:
    promote(UNIT)
    measure(root, 2, 0.95, 0.1)
    track_all(root, seeds=SEEDS)
    promote(UNIT)
    weights = root / "models/elpv/mono/glass-1/model.safetensors"
    weights.unlink()
    weights.write_bytes(b"trained again")
    assert "note: " in promote("--back", UNIT)
    assert aliases(root)["champion"] == "1"
    assert artifact(root) == "../models/elpv/mono/glass-2"


def test_without_names_all_units_of_the_grid_are_promoted(root: Path) -> None:
    assert len(promote().splitlines()) == 2
    assert YAML(typ="safe").load(root / CHAMPIONS)["artifacts"].keys() == {UNIT, "lcdsim/grey"}


def test_what_cannot_be_promoted_is_one_line_and_changes_nothing(root: Path) -> None:
    with pytest.raises(UserError, match=r"elpv/momo: not among `units` .*did you mean 'elpv/mono'"):
        promote("elpv/momo")
    with pytest.raises(UserError, match="elpv/mono: no champion before this one"):
        promote("--back", UNIT)
    measure(root, 2, 0.95, 0.1)
    with pytest.raises(UserError, match=r"elpv/mono glass 2: MLflow does not hold .*dvc repro tr"):
        promote()
    for seed in SEEDS:
        shutil.rmtree(root / "results" / UNIT / f"glass-{seed}")
    with pytest.raises(UserError, match=r"elpv/mono: no result with a validation image_auroc"):
        promote()
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    assert not client.search_registered_models()
    assert not CHAMPIONS.exists()


def test_a_file_of_artifacts_that_is_not_ours_is_named(root: Path) -> None:
    (root / CHAMPIONS).parent.mkdir()
    (root / CHAMPIONS).write_text("- what")
    with pytest.raises(UserError, match=r"champions/dvc.yaml: not a list of artifacts"):
        promote(UNIT)
    assert (root / CHAMPIONS).read_text() == "- what"


def test_any_folder_name_has_names_in_both_registries() -> None:
    assert registry_name("parts/M6: short") == "parts.M6. short"
    assert artifact_name("parts/M6_2") == "parts/M6_2"
    assert re.fullmatch(r"parts-M6-short-[0-9a-f]{6}", artifact_name("parts/M6 short"))
    assert artifact_name("Teile/Öse") != artifact_name("Teile/Ase")
