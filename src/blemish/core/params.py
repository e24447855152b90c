"""params.yaml as typed, frozen, validated models. A bad key or value is named with its path.

Light on purpose: every stage checks the whole file before it does anything, so nothing heavy
(torch, OpenCV) is imported here. A method's own section is checked by that method's `Params`.
"""

import importlib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from blemish.core.data_params import DataParams, LcdsimParams, Levels, Tolerance, UnitFraming
from blemish.core.errors import UserError, suggestion
from blemish.core.section import Count, Fraction, Section, Seed
from blemish.core.synthesis_params import (
    BlendParams,
    KindParams,
    SynthesisParams,
    TextureParams,
    VisibilityParams,
)

# What the sections are made of lies in modules of its own; who reads params.yaml finds it here.
__all__ = [
    "PARAMS_FILE",
    "AuditParams",
    "BlendParams",
    "Count",
    "DataParams",
    "EvaluationParams",
    "ExportParams",
    "Fraction",
    "KindParams",
    "LcdsimParams",
    "Levels",
    "Params",
    "Section",
    "Seed",
    "SynthesisParams",
    "TextureParams",
    "Tolerance",
    "TrackingParams",
    "TrainingParams",
    "UnitFraming",
    "VisibilityParams",
    "default_settings",
    "load_params",
    "read_yaml",
]

PARAMS_FILE = Path("params.yaml")
Model = TypeVar("Model", bound=BaseModel)


class TrainingParams(Section):
    """What every method's training shares."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    threads: Annotated[int, Field(ge=0, le=1024)] = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 5.0
    keep_every: Annotated[int, Field(ge=0)] = 0


class EvaluationParams(Section):
    """How results are measured."""

    protocol: Literal["honest", "paper"] = "honest"
    resolution: Literal["original", "model"] = "original"
    false_alarm_rate: Fraction = 0.05
    aupro_limit: Annotated[float, Field(gt=0, le=1)] = 0.3
    heatmaps: Annotated[int, Field(ge=0, le=50)] = 4
    animation: Annotated[int, Field(ge=0, le=200)] = 24
    robustness: Annotated[int, Field(ge=0, le=1000)] = 0


class ExportParams(Section):
    """In which formats models are exported; none: the stage is not in the graph."""

    formats: list[Literal["onnx", "openvino"]] = Field(default=[])


class AuditParams(Section):
    """Which units' "good" images are audited; none: the stage is not in the graph.

    sheet: images on the sheet. drop: unit → normal images that `prepare` leaves out.
    """

    units: list[str] = Field(default=[])
    sheet: Annotated[int, Field(ge=1, le=200)] = 20
    drop: dict[str, list[str]] = Field(default={})


class TrackingParams(Section):
    """Where MLflow keeps the runs, and which model `blemish promote` takes.

    MLFLOW_TRACKING_URI, where set, wins over `uri`. `promote_by` is a metric of the validation set,
    or of the real defects set apart by `data.selection`.
    """

    experiment: str = "blemish"
    uri: str | None = None
    promote_by: Literal[
        "image_auroc", "pixel_auroc", "pixel_aupro", "selection_image_auroc", "selection_recall"
    ] = "image_auroc"


class Params(Section):
    """The whole of params.yaml; the sections of methods stay plain until `method` is asked."""

    units: Annotated[list[str], Field(min_length=1)]
    methods: Annotated[list[str], Field(min_length=1)]
    seeds: Annotated[list[Seed], Field(min_length=1)]
    data: DataParams = DataParams()
    synthesis: SynthesisParams = SynthesisParams()
    training: TrainingParams = TrainingParams()
    evaluation: EvaluationParams = EvaluationParams()
    export: ExportParams = ExportParams()
    audit: AuditParams = AuditParams()
    tracking: TrackingParams = TrackingParams()
    method_sections: dict[str, dict[str, Any]] = Field(default={})

    def method(self, name: str, unit: str = "") -> Any:
        """The validated parameters of one method for a unit, an instance of its own `Params`."""
        section = self.method_sections.get(name, {})
        params = _validate(_method_params(name), section, name)
        return params.for_unit(unit) if unit else params


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check the whole file.

    Raises UserError naming the key's path, the bad value and the valid choices.
    """
    content = read_yaml(path)
    # The registries and checks are imported by name: they can stop a stage but not change what it
    # makes, so a cached result need not be thrown away when a method or data set is added.
    known = list(importlib.import_module("blemish.methods.registry").METHODS)
    sections = {name: content.pop(name) for name in known if name in content}
    _reject_unknown_keys(content, known)
    params = _validate(Params, {**content, "method_sections": sections}, "")
    importlib.import_module("blemish.methods.grid").check_grid(params)
    for name in sections:
        params.method(name)
    return params


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's top-level mapping, plain types only; UserError if it is not one."""
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's folder") from None
    except (YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        what = getattr(error, "problem", None) or "not UTF-8 text"
        raise UserError(f"{where}: not valid YAML ({what}); correct that line") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected `key: value` lines, e.g. `units: [elpv/mono]`")
    return content


def default_settings() -> dict[str, Any]:
    """Every setting but the grid with its default, as params.yaml would hold them.

    Those of the methods are their authors'. Of a method's mix of kinds only what it draws is named.
    """
    grid: dict[str, Any] = {"units": ["-"], "methods": ["-"], "seeds": [0]}
    settings = Params(**grid).model_dump(exclude={*grid, "method_sections"})
    for name in importlib.import_module("blemish.methods.registry").METHODS:
        settings[name] = _method_params(name)().model_dump()
        if settings[name].get("kinds"):
            shares = settings[name]["kinds"].items()
            settings[name]["kinds"] = {kind: share for kind, share in shares if share}
    return settings


def _method_params(name: str) -> type[Section]:
    params: type[Section] = importlib.import_module(f"blemish.methods.{name}.params").Params
    return params


def _reject_unknown_keys(content: dict[str, Any], methods: list[str]) -> None:
    valid = [name for name in Params.model_fields if name != "method_sections"] + methods
    for key in content:
        if key not in valid:
            raise UserError(
                f"{PARAMS_FILE}: unknown key `{key}`{suggestion(str(key), valid)}; "
                f"valid: {', '.join(valid)}"
            )


def _validate(model: type[Model], content: Any, where: str) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(_describe(error, model, where)) from None


def _describe(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """One line for the first fault: the key's path, the value, what would be right."""
    fault = error.errors()[0]
    location = [str(part) for part in fault["loc"] if part not in ("method_sections", "[key]")]
    path = ".".join([where, *location] if where else location) or where
    if fault["type"] == "extra_forbidden":
        valid = _keys_at(model, [str(part) for part in fault["loc"][:-1]])
        hint = suggestion(location[-1], valid)
        return f"{PARAMS_FILE}: unknown key `{path}`{hint}; valid: {', '.join(valid)}"
    if fault["type"] == "missing":
        return f"{PARAMS_FILE}: `{path}` is missing"
    if fault["type"] == "value_error":  # of a whole section: our own message names the values
        return f"{PARAMS_FILE}: `{path}`: {fault['msg'].removeprefix('Value error, ')}"
    message = fault["msg"]
    return f"{PARAMS_FILE}: `{path}` is {fault['input']!r}: {message[:1].lower()}{message[1:]}"


def _keys_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """The keys that are valid at a path of keys; nothing where no section is there."""
    here: Any = model
    for part in path:
        fields = here.model_fields if _is_section(here) else None
        # Of a mapping, whose keys are the user's names, every value has the same type.
        here = _plain(fields[part].annotation if fields else get_args(here)[-1])
    return list(here.model_fields) if _is_section(here) else []


def _plain(annotation: Any) -> Any:
    """A type without what `Annotated` says of it; of `Section | None` the section."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) is dict:
        return annotation
    return next(filter(_is_section, get_args(annotation)), annotation)


def _is_section(choice: Any) -> bool:
    return isinstance(choice, type) and issubclass(choice, BaseModel)
