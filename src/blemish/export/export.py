"""What the stage `export` writes: a graph, and what speaks for it."""

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
from blemish.export.cost import milliseconds, peak_memory
from blemish.export.graph import onnx_model
from blemish.export.proof import between_scores, check, compare
from blemish.export.runtimes import FILES, open_graph, write_openvino
from blemish.images.manifest import read_manifest
from blemish.images.reading import read_image
from blemish.methods.saved import Record, load
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
    if record.zones is not None:
        raise UserError(
            f"{model}: its unit has zones, which cannot be exported: use `blemish.load`, or leave "
            "the unit out of `units` when you export"
        )
    rules = rules_of(record, false_alarm_rate, None, None, REGION, SIMPLIFY)
    detector = TrainedDetector(network, record, rules)
    facts = _facts(detector, model, prepared, synthetic, code, false_alarm_rate)
    file = folder / FILES["onnx"]
    props = {key: str(value) for key, value in facts.items()}
    onnx.save(onnx_model(network, facts["graph_threshold"], props), file)
    if name == "openvino":
        write_openvino(file, folder / FILES[name])
        file.unlink()
    run = open_graph(name, folder)
    difference = compare(detector, run, _images(prepared, synthetic, record))
    check(difference, f"{record.unit} {record.method}-{record.seed} as {name}")
    some = list(islice(_images(prepared, synthetic, record), TIMED_IMAGES))
    write_json(
        folder / "export.json",
        {
            "format": name,
            **facts,
            "difference": asdict(difference),
            "milliseconds": {
                "one core": milliseconds(run, some),
                f"{cores()} cores": milliseconds(open_graph(name, folder, cores()), some),
            },
            "peak_mib": peak_memory(name, folder, some[0]),
            "versions": {"torch": torch.__version__, "onnx": onnx.__version__},
        },
    )


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


def _images(prepared: Path, synthetic: Path, record: Record) -> Iterator[NDArray[np.uint8]]:
    """The validation normals and the rendered defects."""
    unit, made = read_manifest(prepared), read_manifest(synthetic)
    levels = None if record.levels is None else (record.levels[0], record.levels[1])
    for manifest, rows in ((unit, unit.of("val", 0)), (made, made.of("validation"))):
        for image in rows["image"]:
            yield read_image(manifest.root / image, levels)
