"""A trained detector on disk: weights and JSON, no pickle."""

import importlib
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from blemish.core.data_params import Zones
from blemish.core.errors import UserError
from blemish.core.files import write_json
from blemish.core.params import Levels, Section, Seed
from blemish.images.framing import Framing
from blemish.images.seen_zones import UnitZones, shared_map
from blemish.images.zones import ZoneMap, read_zone_map, write_zone_map
from blemish.methods.detector import AnyDetector, create
from blemish.methods.scoring import Scored
from blemish.methods.validation import NotFinite, Validation

EPOCHS = "epochs"  # folder in a model's of the weights kept for protocol `paper`
ZONES = "zones.png"  # the map of zones that all images of the unit share


class Record(Section):
    """`model.json`: all that a trained model is besides its tensors."""

    format: Literal[2] = 2
    method: Annotated[str, Field(pattern=r"^[a-z]\w*$")]
    unit: str
    seed: Seed
    params: dict[str, Any]
    framing: Framing
    framing_reason: str
    levels: Levels | None = None  # what black and white are in 16-bit images
    facts: dict[str, Any]
    validation: Validation
    looks: dict[str, list[float]] = Field(default={})  # of the validation normals (`images.looks`)
    zones: Zones | None = None  # with their tolerances; None: no image has any, {}: only `ignore`
    versions: dict[str, str]


def save(
    detector: AnyDetector,
    folder: Path,
    unit: str,
    normals: Iterable[Scored],
    levels: tuple[int, int] | None = None,
    framing_reason: str = "",
    zones: UnitZones | None = None,
    looks: Iterable[Mapping[str, float]] = (),
) -> None:
    """Write `model.safetensors` and `model.json`; `zones.png` where all images share their zones.

    `normals` are the validation normals', `levels` those of the unit's manifest, `framing_reason`
    says how the framing was chosen, `zones` are those of the unit, by which the normals
    are scored, `looks` are the normals'. Raises UserError if a score is not finite.
    """
    try:
        validation = Validation.of(normals, zones)
    except NotFinite:
        raise UserError(
            f"{unit} {detector.name} seed {detector.seed}: a validation normal scored NaN or "
            "infinity: lower the learning rate"
        ) from None
    state = {key: value.contiguous().cpu() for key, value in detector.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    record = Record(
        method=detector.name,
        unit=unit,
        seed=detector.seed,
        params=detector.params.model_dump(),
        framing=detector.framing,
        framing_reason=framing_reason,
        levels=None if levels is None else list(levels),
        facts=detector.facts(),
        validation=validation,
        looks=_columns(looks),
        zones=zones.tolerances if zones else None,
        versions={"python": platform.python_version(), "torch": torch.__version__},
    )
    stated = record.model_dump()
    if zones is None:  # a unit without zones need not know that there are any
        del stated["zones"], stated["validation"]["zones"]
    elif shared := shared_map(zones.reader.root, zones.rows, tuple(zones.tolerances)):
        write_zone_map(shared, folder / ZONES)
    write_json(folder / "model.json", stated)


def load_state(detector: AnyDetector, file: Path) -> None:
    """Put an epoch's weights into a detector. Raises UserError if they do not fit."""
    try:
        detector.load_state_dict(load_file(file))
    except (ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"{file}: not weights of this model ({_reason(error)}): train it again"
        ) from None
    detector.eval()


def load(folder: Path, device: torch.device) -> tuple[AnyDetector, Record]:
    """A trained detector and its `model.json`.

    Model files are hostile input: nothing is unpickled, all values are validated, tensors must
    fit. Raises UserError naming the file and what is wrong.
    """
    for name in ("model.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing: run the train stage of this model")
    try:
        record = Record.model_validate_json((folder / "model.json").read_bytes())
        module = importlib.import_module(f"blemish.methods.{record.method}.params")
        params = module.Params.model_validate(record.params)
        detector = create(record.method, params, record.seed, record.framing)
        detector.load_state_dict(load_file(folder / "model.safetensors"))
    except (ValueError, ModuleNotFoundError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"{folder}: not a model of this version ({_reason(error)}): train it again"
        ) from None
    if record.facts.get("backbone_digest") != detector.facts().get("backbone_digest"):
        raise UserError(
            f"{folder}/model.json: trained on other backbone weights than are installed: "
            "train it again, or install those weights"
        )
    return detector.to(device).eval(), record


def load_zones(folder: Path, record: Record) -> ZoneMap | None:
    """The zones that all images of a model's unit share, None where they share none.

    Hostile input, as the rest of a model. Raises UserError where the file is no map of its zones.
    """
    file = folder / ZONES
    if record.zones is None or not file.is_file():
        return None
    zones = read_zone_map(file, tuple(record.zones), None, remedy="train the model again")
    if not zones.judged().any():
        raise UserError(f"{file}: leaves nothing to be judged: train the model again")
    return zones


def _columns(rows: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    """Each number of all rows, ascending."""
    columns: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return {name: sorted(values) for name, values in columns.items()}


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        fault = error.errors()[0]
        where = ".".join(["model.json", *map(str, fault["loc"])])
        return f"{where}: {fault['msg']}"
    reason = " ".join(str(error).split())[:200]
    return f"model.safetensors: {reason}" if isinstance(error, SafetensorError) else reason
