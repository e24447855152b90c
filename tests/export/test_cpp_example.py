"""The C++ example, built with the headers and libraries that OpenVINO's Python package holds."""

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

import blemish
from tests.export.test_export_stage import EXAMPLE, RATE, exported
from tests.methods.tiny import trained
from tests.units import tiny_unit

COMPILER = shutil.which("g++")
FOUND = find_spec("openvino")
OPENVINO = Path(FOUND.origin).parent if FOUND and FOUND.origin else None
SOURCE = EXAMPLE.with_suffix(".cpp")

pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="g++ is not installed"),
    pytest.mark.skipif(
        OPENVINO is None or not (OPENVINO / "include/openvino/openvino.hpp").is_file(),
        reason="OpenVINO's package has no C++ headers here",
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built with the command that the example gives."""
    folder = tmp_path_factory.mktemp("cpp")
    lines = SOURCE.read_text(encoding="utf-8").splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("//     g++"))
    words = (line.removeprefix("//").strip().rstrip("\\") for line in lines[begin : begin + 2])
    environment = os.environ | {"OV": str(OPENVINO)}
    shutil.copyfile(SOURCE, folder / "score.cpp")
    subprocess.run(["bash", "-euc", " ".join(words)], cwd=folder, env=environment, check=True)
    return folder / "score"


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_it_judges_as_the_model_does(name: str, program: Path, tmp_path: Path) -> None:
    model = exported(name, "patchcore", tmp_path)
    file = model / {"onnx": "model.onnx", "openvino": "model.xml"}[name]
    images = sorted((tiny_unit().prepared / "test").rglob("*.png"))
    pixels = []
    for number, image in enumerate(images):
        pixels.append(tmp_path / f"{number}.ppm")
        Image.open(image).convert("RGB").save(pixels[-1])
    done = subprocess.run([program, file, *pixels], capture_output=True, text=True, check=True)
    verdicts = blemish.load(trained("patchcore"), "cpu", false_alarm_rate=RATE).score(images)
    lines = done.stdout.splitlines()
    for line, verdict in zip(lines, verdicts, strict=True):
        decision, score, highest, *_ = line.split()
        assert decision == ("defective" if verdict.defective else "good")
        assert float(score) == pytest.approx(verdict.score, rel=1e-3)
        assert float(highest) == pytest.approx(float(verdict.map.max()), rel=1e-3)


def test_what_is_no_image(program: Path, tmp_path: Path) -> None:
    model = exported("onnx", "patchcore", tmp_path) / "model.onnx"
    short = tmp_path / "short.ppm"
    for content, said in ((b"P5 1 1 255 x", "not a binary PPM"), (b"P6 9 9 255\n", "too early")):
        short.write_bytes(content)
        done = subprocess.run([program, model, short], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
