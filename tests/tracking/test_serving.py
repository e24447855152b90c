"""A promoted model behind `mlflow models serve`: images in, decisions out, and bad requests."""

import base64
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import requests
from PIL import Image
from typer.testing import CliRunner

import blemish
from blemish.commands.app import app
from blemish.methods.registry import METHODS
from blemish.tracking.logged_model import scoring_code
from tests.methods.tiny import trained
from tests.predict.bright import write_image
from tests.tracking.results import make_workspace, track_all

UNIT, PLACE = "elpv/mono", "elpv/mono/patchcore-0"
PATIENCE = 500  # s
# Imports what serving a method needs where Blemish is nothing but the model's own code.
ALONE = """
import importlib, os, sys
others = (place for place in sys.path if not os.path.isdir(os.path.join(place, "blemish")))
sys.path = [sys.argv[1], *others]
importlib.import_module("blemish.predict.pyfunc")
for part in ("params", "detector"):
    importlib.import_module(f"blemish.methods.{sys.argv[2]}.{part}")
ours = [module for name, module in sys.modules.items() if name.startswith("blemish")]
assert all(module.__file__.startswith(sys.argv[1]) for module in ours), ours
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose result is that of a real model, tracked and promoted."""
    root = make_workspace(tmp_path_factory.mktemp("served") / "project")
    (root / "models" / UNIT / "glass-0").rename(root / "models" / PLACE)
    (root / "results" / UNIT / "glass-0").rename(root / "results" / PLACE)
    shutil.rmtree(root / "models" / PLACE)
    shutil.copytree(trained("patchcore"), root / "models" / PLACE)
    numbers = root / "results" / PLACE / "metrics.json"
    numbers.write_text(json.dumps(json.loads(numbers.read_text()) | {"method": "patchcore"}))
    grid = "units: [elpv/mono]\nmethods: [patchcore]\nseeds: [0]\n"
    (root / "params.yaml").write_text(grid)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(root)
        track_all(root, units=[UNIT], methods=["patchcore"])
        assert CliRunner().invoke(app, ["promote"]).exit_code == 0
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[str]:
    """The address of a server of the champion."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = f"mlflow models serve -m models:/elpv.mono@champion --env-manager local --port {port}"
    place = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
             "MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db"}  # fmt: skip
    log = root.parent / "server.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command.split(), cwd=root, env={**os.environ, **place, "OMP_NUM_THREADS": "1"},
            stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        deadline, address = time.monotonic() + PATIENCE, f"http://127.0.0.1:{port}"
        while not is_alive(address):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def is_alive(address: str) -> bool:
    try:
        return requests.get(f"{address}/ping", timeout=60).status_code == 200
    except requests.ConnectionError:
        return False


def post(address: str, body: Any) -> requests.Response:
    text = body if isinstance(body, str) else json.dumps(body)
    kind = {"Content-Type": "application/json"}
    return requests.post(f"{address}/invocations", data=text, headers=kind, timeout=PATIENCE)


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return write_image(tmp_path / "a.png", (90, 120), (20, 30, 40, 30, 250))


def test_an_image_gets_the_verdict_of_the_model(server: str, root: Path, picture: Path) -> None:
    encoded = in_base64(picture.read_bytes())
    expected = blemish.load(root / "models" / PLACE, "cpu").score(picture)
    for body in (
        {"dataframe_records": [{"image": encoded}]},
        {"inputs": [encoded]},
        {"inputs": {"image": [f"data:image/png;base64,{encoded}"]}},
    ):
        answer = post(server, body)
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["predictions"]
        assert found.keys() == {"score", "decision", "threshold", "regions", "width", "height"}
        assert (found["score"], found["decision"]) == (expected.score, expected.defective)
        assert (found["width"], found["height"]) == (120, 90)
        assert [region["area"] for region in found["regions"]] == [
            region.area for region in expected.regions
        ]
    both = post(server, {"inputs": [encoded, encoded]}).json()["predictions"]
    assert both == [found, found]


def bomb() -> bytes:
    """A small file that claims a billion pixels."""
    stream = io.BytesIO()
    Image.new("1", (1, 1)).save(stream, "PNG")
    content = bytearray(stream.getvalue())
    content[16:24] = (32000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)


BAD = {
    "no image": ({"inputs": [in_base64(b"hello")]}, "image 1: not a whole image"),
    "a bomb": ({"inputs": [in_base64(bomb())]}, "image 1: claims more than 180 million pixels"),
    "100 MB": ({"inputs": ["A" * 100_000_000]}, "image 1: 75 MB: send at most 67 MB"),
    "no base64": ({"inputs": ["%%%"]}, "image 1: not base64"),
    "a path": ({"inputs": ["/etc/passwd.png"]}, "image 1: not base64"),
    "a number": ({"dataframe_records": [{"image": 5}]}, "image 1: int: send the bytes"),
    "another column": ({"dataframe_records": [{"picture": "A"}]}, "missing inputs ['image']"),
    "wrong JSON": ('{"dataframe_records": ', "a valid JSON formatted string"),
    "a list": ("[1]", "must be a JSON dictionary"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_answered_in_one_line_and_the_server_lives(
    server: str, picture: Path, name: str
) -> None:
    body, expected = BAD[name]
    answer = post(server, body)
    assert answer.status_code == 400
    assert len(answer.text.splitlines()) == 1
    assert expected in answer.json()["message"]
    assert len(answer.text) < 1000
    assert post(server, {"inputs": [in_base64(picture.read_bytes())]}).status_code == 200


def test_a_good_image_beside_a_bad_one_says_which(server: str, picture: Path) -> None:
    images = [in_base64(picture.read_bytes()), in_base64(b"hello")]
    answer = post(server, {"inputs": images})
    assert answer.json()["message"].startswith("image 2: not a whole image")


def test_the_model_loads_in_python(
    root: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    mlflow.set_tracking_uri(f"sqlite:///{root}/mlflow.db")
    path = list(sys.path)
    model = mlflow.pyfunc.load_model("models:/elpv.mono@champion")
    sys.path[:] = path  # MLflow puts the model's code there
    (found,) = model.predict(pd.DataFrame({"image": [in_base64(picture.read_bytes())]}))
    assert found["score"] == blemish.load(root / "models" / PLACE, "cpu").score(picture).score


@pytest.mark.parametrize("method", METHODS)
def test_the_code_of_a_model_is_all_that_it_imports(method: str, tmp_path: Path) -> None:
    code = tmp_path / "code/blemish"
    scoring_code(method, code)
    command = [sys.executable, "-c", ALONE, str(code.parent), method]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
