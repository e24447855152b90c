"""What the stage `export` writes: a graph, and what speaks for it."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from blemish.core.device import choose_device
from blemish.core.errors import UserError
from blemish.core.files import sha256, write_json
from blemish.export import judge
from blemish.export.cost import milliseconds, peak_memory
from blemish.export.graph import onnx_model, window_model
from blemish.export.proof import between_scores, check, compare
from blemish.export.runtimes import FACTS, FILES, JUDGE, ZONES, open_graph, write_openvino
from blemish.images.manifest import read_manifest
from blemish.images.reading import read_image
from blemish.images.seen_zones import SeenZones, see
from blemish.methods.saved import Record, load, load_zones
from blemish.methods.zone_rules import ZoneRule
from blemish.predict.trained import TrainedDetector, cores, rules_of

TIMED_IMAGES = 4
REGION, SIMPLIFY = 16, 1.0  # as `blemish predict` has them; the graph gives no regions


def write_export(
    name: str,
    model: Path,
    prepared: Path,
    synthetic: Path,
    code: Path,
    false_alarm_rate: float,
    folder: Path,
) -> None:
    """Export `model` in the format `name`, try it on the validation set, and fill `folder`.

    code: the file that describes the code it is made by. Raises UserError for a model that cannot
    be exported, and where the graph does not decide as it.
    """
    network, record = load(model, choose_device("cpu", 1))
    shared = load_zones(model, record)
    if record.zones is not None and shared is None:
        raise UserError(
            f"{model}: its unit has zones that are not the same on all images, which cannot be "
            "exported: use `blemish.load`, or leave the unit out of `units` when you export"
        )
    rules = rules_of(record, false_alarm_rate, None, None, REGION, SIMPLIFY)
    zones = see(shared, network.framing) if shared else None
    detector = TrainedDetector(network, record, rules, zones)
    facts = _facts(detector, model, prepared, synthetic, code, false_alarm_rate)
    facts["format"] = name
    _write_graph(name, detector, zones, facts, folder)
    run = open_graph(name, folder)
    difference = compare(detector, run, _images(prepared, synthetic, record))
    check(difference, f"{record.unit} {record.method}-{record.seed} as {name}")
    some = list(islice(_images(prepared, synthetic, record), TIMED_IMAGES))
    cost = {
        "difference": asdict(difference),
        "milliseconds": {
            "one core": milliseconds(run, some),
            f"{cores()} cores": milliseconds(open_graph(name, folder, cores()), some),
        },
        "peak_mib": peak_memory(name, folder, some[0]),
        "versions": {"torch": torch.__version__, "onnx": onnx.__version__},
    }
    write_json(folder / FACTS, facts | cost)


def _write_graph(
    name: str,
    detector: TrainedDetector,
    zones: SeenZones | None,
    facts: dict[str, Any],
    folder: Path,
) -> None:
    """The graph of whole images; with zones, or for images seen through windows, that of a window
    and what is needed around it."""
    write_json(folder / FACTS, facts)
    file, network = folder / FILES["onnx"], detector.network
    props = {key: value if isinstance(value, str) else json.dumps(value)
             for key, value in facts.items()}  # fmt: skip
    if zones is None and network.framing.resize != "tiles":
        graph = onnx_model(network, facts["graph_threshold"], props)
    else:
        judged = len(facts["zones"]) + 1
        graph = window_model(network, judged, props)
        shutil.copyfile(judge.__file__, folder / JUDGE)
        if zones is not None:
            seen = zones.seen[:judged]
            np.savez_compressed(folder / ZONES, index=zones.zones.index, seen=seen)
    onnx.save(graph, file)
    if name == "openvino":
        write_openvino(file, folder / FILES[name])
        file.unlink()


def _facts(
    detector: TrainedDetector,
    model: Path,
    prepared: Path,
    synthetic: Path,
    code: Path,
    false_alarm_rate: float,
) -> dict[str, Any]:
    """What travels in the file: whose model it is, its thresholds, what it was made of."""
    record, rules = detector.record, detector.rules
    return {
        "unit": record.unit,
        "method": record.method,
        "seed": record.seed,
        "framing": record.framing.said,
        "view": asdict(record.framing),
        "zones": [_rule(record, rule) for rule in rules.zones],
        "threshold": rules.threshold,
        "graph_threshold": between_scores(rules.threshold, record.validation.normal_scores),
        "map_threshold": rules.map_threshold,
        "false_alarm_rate": false_alarm_rate,
        "expected_false_alarm_rate": rules.expected_rate,
        "model_sha256": sha256(model / "model.safetensors"),
        "data_sha256": sha256(prepared / "manifest.parquet"),
        "defects_sha256": sha256(synthetic / "manifest.parquet"),
        "code_sha256": sha256(code),
    }


def _rule(record: Record, rule: ZoneRule) -> dict[str, Any]:
    """What a zone puts up with; its threshold moved as that of the image is."""
    own = record.validation.zones.get(rule.name)
    normals = own.normal_scores if own and rule.normals else record.validation.normal_scores
    return asdict(rule) | {"graph_threshold": between_scores(rule.threshold, normals)}


def _images(prepared: Path, synthetic: Path, record: Record) -> Iterator[NDArray[np.uint8]]:
    """The validation normals and the rendered defects."""
    unit, made = read_manifest(prepared), read_manifest(synthetic)
    levels = None if record.levels is None else (record.levels[0], record.levels[1])
    for manifest, rows in ((unit, unit.of("val", 0)), (made, made.of("validation"))):
        for image in rows["image"]:
            yield read_image(manifest.root / image, levels)
