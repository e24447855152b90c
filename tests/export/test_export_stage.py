"""The stage `export`: every method, both formats, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import blemish
from blemish.core.errors import UserError
from blemish.export.proof import BOUND
from blemish.export.runtimes import open_graph
from blemish.methods.registry import METHODS
from stages import export
from tests.methods.tiny import trained
from tests.units import PARAMS, run_stage, tiny_unit

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "onnx" / "score.py"
BARE = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert not {"torch", "blemish"} & {*sys.modules}
"""
RATE = PARAMS["evaluation"]["false_alarm_rate"]


def exported(name: str, method: str, folder: Path) -> Path:
    """The folder that the stage writes."""
    unit, code = tiny_unit(), folder / "code.json"
    code.write_text("{}")
    out = folder / "out"
    run_stage(export.main, {}, name, trained(method), unit.prepared, unit.synthetic, code, out)
    return out


@pytest.mark.parametrize("method", METHODS)
def test_every_method_as_onnx(method: str, tmp_path: Path) -> None:
    out = exported("onnx", method, tmp_path)
    facts: dict[str, Any] = json.loads((out / "export.json").read_text())
    assert facts["difference"]["flips"] == 0
    assert facts["difference"]["images"] == 3 + 6  # validation normals, rendered defects
    assert max(facts["difference"]["score_share"], facts["difference"]["map_share"]) <= BOUND
    assert (
        0 < facts["milliseconds"]["one core"]["median"] <= facts["milliseconds"]["one core"]["p95"]
    )
    assert facts["peak_mib"] > 10
    model = onnx.load(out / "model.onnx")
    assert {node.domain for node in model.graph.node} == {""}  # ONNX's own operators
    assert not model.functions
    assert {entry.key for entry in model.metadata_props} >= {"unit", "threshold", "data_sha256"}
    detector = blemish.load(trained(method), "cpu", false_alarm_rate=RATE)
    paths = sorted((tiny_unit().prepared / "test").rglob("*.png"))
    pixels = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    alike = np.stack([one for one in pixels if one.shape == pixels[0].shape])
    answer = open_graph("onnx", out)(alike)  # a batch of another length
    verdicts = detector.score(list(alike))
    scores = np.array([verdict.score for verdict in verdicts])
    np.testing.assert_allclose(answer.score, scores, atol=2e-3 * np.ptp(scores))
    assert answer.map.shape == alike.shape[:3]


def test_the_example_needs_neither_pytorch_nor_blemish(tmp_path: Path) -> None:
    out = exported("onnx", "glass", tmp_path)
    image = next((tiny_unit().prepared / "test").rglob("*.png"))
    command = [sys.executable, "-c", BARE, str(EXAMPLE), str(out / "model.onnx"), str(image)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    verdict = blemish.load(trained("glass"), "cpu", false_alarm_rate=RATE).score(image)
    assert first.startswith("tiny/bolts by glass: defective above ")
    decision, score, *_ = second.split()
    assert decision == ("defective" if verdict.defective else "good")
    assert float(score) == pytest.approx(verdict.score, abs=1e-3)


def test_openvino(tmp_path: Path) -> None:
    out = exported("openvino", "esad", tmp_path)
    assert {file.name for file in out.iterdir()} == {"model.xml", "model.bin", "export.json"}
    assert json.loads((out / "export.json").read_text())["difference"]["flips"] == 0


def test_what_cannot_be_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"exporting needs the package onnxscript: pip install"):
        exported("onnx", "glass", tmp_path)
    assert not (tmp_path / "out").exists()
