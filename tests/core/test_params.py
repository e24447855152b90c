"""params.yaml: what is right passes, what is wrong is named in one line."""

import copy
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from blemish.core.errors import UserError
from blemish.core.params import BlendParams, Tolerance, load_params, read_yaml
from blemish.methods.registry import METHODS

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "params.yaml"


def with_value(key: str, value: Any, target: Path) -> Path:
    """The shipped file with one key, given by its path, set to another value."""
    content = copy.deepcopy(read_yaml(SHIPPED))
    *sections, last = key.split(".")
    section = content
    for name in sections:
        section = section[name]
    section[last] = value
    YAML().dump(content, target)
    return target


def complaint(path: Path) -> str:
    """The error that `load_params` gives, checked to be one line."""
    with pytest.raises(UserError) as caught:
        load_params(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_shipped_file_is_valid_and_complete() -> None:
    params = load_params(SHIPPED)
    written = read_yaml(SHIPPED)
    assert params.units == ["elpv/mono", "lcdsim/grey"]
    grid = ["glass", "dlas", "dsarad", "dmad", "esad", "patchcore"]
    assert (params.methods, params.seeds) == (grid, [0])
    for name in ("data", "synthesis", "training", "evaluation", "tracking"):
        assert written[name] == getattr(params, name).model_dump(), name
    for name in METHODS:
        section = params.method(name)
        assert set(written[name]) == set(type(section).model_fields), name


# key, bad value, what the message must hold besides the key's path and the value itself
WRONG = [
    ("unitz", ["elpv/mono"], ["unknown key `unitz`", "did you mean 'units'", "methods", "glass"]),
    ("data.lcdsim.siz", 3, ["unknown key `data.lcdsim.siz`", "did you mean 'size'", "contrast"]),
    ("synthesis.blend.hi", 1, ["unknown key `synthesis.blend.hi`", "mean, std, low, high"]),
    ("glass.epoch", 1, ["unknown key `glass.epoch`", "did you mean 'epochs'", "batch_size"]),
    ("units", "elpv/mono", ["`units` is 'elpv/mono'", "list"]),
    ("units", [], ["`units` is []", "at least 1"]),
    ("units", [5], ["`units.0` is 5", "string"]),
    ("seeds", [0, "a"], ["`seeds.1` is 'a'", "integer"]),
    ("seeds", [True], ["`seeds.0` is True", "integer"]),
    ("seeds", [-1], ["`seeds.0` is -1", "greater than or equal to 0"]),
    ("seeds", [2**31], ["`seeds.0` is 2147483648", "less than 2147483648"]),
    ("data", None, ["`data` is None", "dictionary"]),
    ("glass", 5, ["`glass` is 5", "dictionary"]),
    ("glass.epochs", "20", ["`glass.epochs` is '20'", "integer"]),
    ("glass.epochs", 1.5, ["`glass.epochs` is 1.5", "integer"]),
    ("glass.epochs", 0, ["`glass.epochs` is 0", "greater than or equal to 1"]),
    ("glass.learning_rate", math.inf, ["`glass.learning_rate` is inf", "finite"]),
    ("synthesis.blend.mean", math.nan, ["`synthesis.blend.mean` is nan", "finite"]),
    ("glass.variant", "maniford", ["is 'maniford'", "'hypersphere', 'judge' or 'table'"]),
    ("synthesis.textures.source", "dtf", ["is 'dtf'", "'builtin' or 'dtd'"]),
    ("evaluation.protocol", "oracle", ["`evaluation.protocol` is 'oracle'", "'honest' or 'paper'"]),
    ("evaluation.false_alarm_rate", 1, ["is 1", "less than 1"]),
    ("training.device", "gpu", ["`training.device` is 'gpu'", "auto|cpu|cuda"]),
    ("glass.image_size", 100, ["`glass.image_size` is 100", "multiple of 32"]),
    ("glass.image_size", -32, ["`glass.image_size` is -32", "greater than or equal to 32"]),
    ("glass.image_size", 2**20, ["`glass.image_size` is 1048576", "equal to 2048"]),
    ("glass.strides", [], ["`glass.strides` is []", "at least 1"]),
    ("data.lcdsim.size", 95, ["`data.lcdsim.size` is 95", "greater than or equal to 96"]),
    ("synthesis.blend.low", 0.9, ["`synthesis.blend`", "`low` is 0.9", "`high`, 0.8"]),
    ("glass.band", [1.0, 0.5], ["`glass`", "band", "[1.0, 0.5]"]),
    ("glass.band", [1.0], ["`glass.band` is [1.0]", "at least 2"]),
    ("units", ["elpv/mono", "elpv/mono"], ["`units`", "'elpv/mono' twice", "remove one"]),
    ("methods", ["glass", "glass"], ["`methods`", "'glass' twice", "remove one"]),
    ("seeds", [3, 1, 3], ["`seeds`", "3 twice", "remove one"]),
    ("synthesis.weak", [0.1, 0.3, 0.1], ["`synthesis.weak`", "0.1 twice", "remove one"]),
    ("synthesis.weak_visibility", [0.5, 0.5], ["weak_visibility`", "0.5 twice", "remove one"]),
    ("synthesis.weak_visibility", [0], ["`synthesis.weak_visibility.0` is 0", "greater than 0"]),
    ("synthesis.visibility.low", 1.5, ["`synthesis.visibility.low` is 1.5", "less than or equal"]),
    ("synthesis.visibility", {"low": 0.8, "high": 0.4}, ["`low` is 0.8", "`high`, 0.4"]),
    ("synthesis.kinds.perlin", 0.0, ["`synthesis.kinds`", "every share is 0", "at least one kind"]),
    (
        "synthesis.kinds.dlas",
        -0.5,
        ["`synthesis.kinds.dlas` is -0.5", "greater than or equal to 0"],
    ),
    (
        "synthesis.kinds.perlim",
        1,
        ["`synthesis.kinds`: unknown kind `perlim`", "did you mean 'perlin'"],
    ),
    (
        "glass.kinds",
        {"perlim": 1.0},
        ["`glass.kinds`: unknown kind `perlim`", "did you mean 'perlin'", "cutpaste"],
    ),
    ("glass.kinds", {}, ["`glass.kinds`", "every share is 0"]),
    ("glass.kinds", {"line": -1.0}, ["`glass.kinds.line` is -1.0", "equal to 0"]),
    ("methods", ["glas"], ["`methods.0` is 'glas'", "did you mean 'glass'", "valid: glass"]),
    ("units", ["elpv"], ["`units.0` is 'elpv'", "<data set>/<category>", "elpv/mono"]),
    ("units", ["elpv/mono/x"], ["`units.0` is 'elpv/mono/x'", "<data set>/<category>"]),
    (
        "units",
        ["elvp/mono"],
        ["unknown data set 'elvp'", "did you mean 'elpv/mono'", "magnetic-tile"],
    ),
    ("units", ["elpv/mno"], ["`units.0`", "unknown category 'mno'", "did you mean 'mono'", "poly"]),
    ("units", ["lcdsim/grey", "lcdsim/gray"], ["`units.1`", "did you mean 'grey'", "checker"]),
    ("units", ["bolts/all"], ["unknown data set 'bolts'", "`data.folders`"]),
    ("data.folders", {"elpv": "x"}, ["`data.folders.elpv`", "registered", "another name"]),
    ("data.folders", {"my set": "x"}, ["`data.folders.my set` is 'my set'", "pattern"]),
    ("data.folders", {"bolts": 5}, ["`data.folders.bolts` is 5", "string"]),
    ("data.zones", {"elpv/mno": {}}, ["a unit of `data.zones` is 'elpv/mno'", "mean 'mono'"]),
    ("data.zones", {"elpv/mono": {"Edge": {}}}, ["`data.zones.elpv/mono.Edge`", "pattern"]),
    ("data.zones", {"elpv/mono": {"rest": {}}}, ["a zone cannot be called `rest`"]),
    ("data.zones", {"elpv/mono": {"edge": None}}, ["`data.zones.elpv/mono.edge` is None"]),
    (
        "data.zones",
        {"elpv/mono": {"edge": {"min_areas": 4}}},
        ["unknown key `data.zones.elpv/mono.edge.min_areas`", "did you mean 'min_area'"],
    ),
    (
        "data.zones",
        {"elpv/mono": {"edge": {"false_alarm_rate": 1.0}}},
        ["`data.zones.elpv/mono.edge.false_alarm_rate` is 1.0", "less than 1"],
    ),
    (
        "data.zones",
        {"elpv/mono": {"edge": {"min_area": -1}}},
        ["`data.zones.elpv/mono.edge.min_area` is -1", "greater than or equal to 0"],
    ),
    (
        "data.zones",
        {"elpv/mono": {"ignore": {"min_area": 3}}},
        ["`data.zones.elpv/mono`", "`ignore` is never judged", "ignore: {}"],
    ),
    (
        "data.zones",
        {"elpv/mono": {"train": {}}},
        ["`data.zones.elpv/mono`: a zone cannot be called `train`", "another name"],
    ),
    (
        "data.zones",
        {"elpv/mono": {f"z{number}": {} for number in range(21)}},
        ["`data.zones.elpv/mono`: 21 zones, more than 20"],
    ),
]


@pytest.mark.parametrize(("key", "value", "parts"), WRONG)
def test_one_line_names_key_value_and_choices(
    key: str, value: Any, parts: list[str], tmp_path: Path
) -> None:
    message = complaint(with_value(key, value, tmp_path / "params.yaml"))
    assert message.startswith("params.yaml: ")
    for part in parts:
        assert part in message
    assert len(message) < 600


def test_zones_keep_their_order_and_tolerances(tmp_path: Path) -> None:
    most = {f"z{number}": {} for number in range(19)}
    named = {"rim": {"false_alarm_rate": 0.2, "min_area": 40}, **most, "ignore": {}}
    path = with_value("data.zones", {"elpv/mono": named}, tmp_path / "params.yaml")
    zones = load_params(path).data.zones["elpv/mono"]
    assert list(zones) == list(named)
    assert zones["rim"] == Tolerance(false_alarm_rate=0.2, min_area=40)
    assert zones["z0"] == Tolerance(false_alarm_rate=None, min_area=0)


def test_a_missing_axis_is_named(tmp_path: Path) -> None:
    content = read_yaml(SHIPPED)
    del content["seeds"]
    YAML().dump(content, tmp_path / "params.yaml")
    assert complaint(tmp_path / "params.yaml") == "params.yaml: `seeds` is missing"


def test_a_cell_must_fit_into_the_picture_it_refers_to(tmp_path: Path) -> None:
    path = with_value("synthesis.size", 64, tmp_path / "params.yaml")
    assert load_params(path).synthesis.size == 64
    path.write_text(path.read_text().replace("cell: 8", "cell: 65"))
    message = complaint(path)
    assert message == "params.yaml: `synthesis`: `cell` is 65 but must not exceed `size`, 64"


def test_equal_bounds_and_whole_numbers_for_fractions_are_fine(tmp_path: Path) -> None:
    path = with_value("synthesis.blend", {"low": 0.5, "high": 0.5}, tmp_path / "params.yaml")
    assert load_params(path).synthesis.blend == BlendParams(low=0.5, high=0.5)
    path = with_value("glass.sigma", 4, tmp_path / "params.yaml")
    assert load_params(path).method("glass").sigma == 4.0


# text, what the message must hold
NOT_YAML = [
    (b"", ["expected `key: value` lines", "units: [elpv/mono]"]),
    (b"- elpv/mono\n", ["expected `key: value` lines"]),
    (b"seeds: [0]\nunits: [elpv/mono\nmethods: [glass]\n", ["line 3", "not valid YAML"]),
    (b"units:\n\t- elpv/mono\n", ["line 2", "\\t"]),
    (b"seeds: [0]\nmethods: [glass]\nseeds: [1]\n", ["line 3", 'duplicate key "seeds"']),
    (b"units: *nowhere\n", ["line 1", "undefined alias"]),
    (b"units: !!python/name:os.system\n", ["line 1", "constructor"]),
    (b"units: [elpv/mono]\n---\nseeds: [0]\n", ["line 2", "another document"]),
    (b"units: [\xff]\n", ["not UTF-8"]),
]


@pytest.mark.parametrize(("text", "parts"), NOT_YAML)
def test_bad_yaml_is_named_with_its_line(text: bytes, parts: list[str], tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text)
    message = complaint(path)
    for part in [str(path), *parts]:
        assert part in message


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    assert complaint(path) == f"{path} is missing: run from the project's folder"


def test_values_are_frozen() -> None:
    params = load_params(SHIPPED)
    with pytest.raises(ValidationError, match="frozen"):
        params.seeds = [1]
    with pytest.raises(ValidationError, match="frozen"):
        params.method("glass").epochs = 1


def test_checking_the_file_imports_nothing_heavy() -> None:
    """Every stage checks the whole file first; torch alone would cost seconds each time."""
    code = (
        "import sys; from blemish.core.params import load_params; load_params(); "
        "print([name for name in ('torch', 'cv2', 'pandas', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
