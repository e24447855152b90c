"""The LoggedModel of a result: what MLflow 3 loads, serves and registers.

Its files are those of the model's folder, the code that scores as it is now, and the versions of
what that code imports. Nothing is pickled: MLflow imports `blemish.predict.pyfunc` from that code.
"""

import base64
import io
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from PIL import Image

from blemish.core.code import SOURCE, closure, describe, installed, module_file
from blemish.core.files import link
from blemish.core.kinds import FOLDER
from blemish.core.workspace import Run
from blemish.tracking import run_content

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature

LOADER = "blemish.predict.pyfunc"
DATA = Path("data/model")  # where MLflow keeps the model's files among its own
IMAGE = "image"  # the input's column


def log_model(
    client: "MlflowClient", experiment_id: str, run_id: str, run: Run, tags: dict[str, str]
) -> str:
    """Make a run's model its output, a LoggedModel; returns the model's id.

    It is ready when the last file is there. In a store on this disk the model's files are links to
    those in the workspace.
    """
    from mlflow.entities import LoggedModelOutput

    model = client.create_logged_model(
        experiment_id,
        name=run.name.replace("/", "-"),
        source_run_id=run_id,
        tags=tags,
        params=run_content.params(run),
        model_type=run.method,
    )
    files = [file for file in sorted(run.model.iterdir()) if file.is_file()]
    with TemporaryDirectory() as temporary:
        whole = _saved(Path(temporary), run, files, model.model_id)
        here = _folder(model)
        if here:
            shutil.rmtree(whole / DATA)
        client.log_model_artifacts(model.model_id, str(whole))
    if here:
        for file in files:
            link(file, here / DATA / file.name)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return model.model_id


def drop_models(client: "MlflowClient", experiment_id: str, run_id: str) -> None:
    """Delete the models of a run that is deleted."""
    for model in client.search_logged_models(
        [experiment_id], filter_string=f"source_run_id = '{run_id}'"
    ):
        client.delete_logged_model(model.model_id)


def _saved(temporary: Path, run: Run, files: Iterable[Path], model_id: str) -> Path:
    """The folder of a whole MLflow model."""
    import mlflow.pyfunc
    from mlflow.models import Model

    data, code, whole = temporary / DATA.name, temporary / "blemish", temporary / "whole"
    for file in files:
        link(file, data / file.name)
    requirements = scoring_code(run.method, code)
    mlflow.pyfunc.save_model(
        str(whole),
        loader_module=LOADER,
        data_path=str(data),
        code_paths=[str(code)],
        mlflow_model=Model(model_id=model_id),
        signature=_signature(),
        input_example=_example(run),
        pip_requirements=requirements,
    )
    return whole


def scoring_code(method: str, folder: Path) -> list[str]:
    """Copy what a served model of a method runs of the package `blemish` into `folder`; returns
    what that imports, as lines of requirements.txt."""
    modules, requirements = _code(method)
    for module in modules:
        copy = folder / module.relative_to(SOURCE / "blemish")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, copy)
    return requirements


@cache
def _code(method: str) -> tuple[set[Path], list[str]]:
    names = (LOADER, *(f"blemish.methods.{method}.{part}" for part in ("params", "detector")))
    starts = [file for name in names if (file := module_file(name))]
    packages: dict[str, str] = describe(starts, installed())["packages"]
    kinds = FOLDER.rglob("*.py")  # the names of these files are what parameters are checked by
    pinned = [f"{name}=={version}" for name, version in sorted(packages.items())]
    return closure(starts).union(kinds), pinned


def _signature() -> "ModelSignature":
    """A column of base64; each image gets a score, a decision, and regions as polygons."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, Object, Property, Schema, TensorSpec

    region = {"score": "double", "area": "long", "zone": "string"}
    parts = [Property(name, kind) for name, kind in region.items()]
    parts.append(Property("points", Array(Array("double"))))
    numbers = {"score": "double", "decision": "boolean", "threshold": "double", "width": "long",
               "height": "long"}  # fmt: skip
    result: dict[str, str | Array] = {**numbers, "regions": Array(Object(parts))}
    columns: list[ColSpec | TensorSpec] = [ColSpec(kind, name) for name, kind in result.items()]
    return ModelSignature(Schema([ColSpec("string", IMAGE)]), Schema(columns))


def _example(run: Run) -> dict[str, Any]:
    """A grey image as base64, of the size that the network sees."""
    picture = io.BytesIO()
    framing = run.description.get("framing", {})
    size = framing.get("width", 64), framing.get("height", 64)
    Image.new("L", size, 128).save(picture, "PNG")
    return {IMAGE: base64.b64encode(picture.getvalue()).decode()}


def _folder(model: "LoggedModel") -> Path | None:
    """Where a model's files lie, if that is on this disk."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    if urlparse(model.artifact_location).scheme not in ("", "file"):
        return None
    return Path(local_file_uri_to_path(model.artifact_location))
