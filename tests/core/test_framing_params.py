"""How networks see images, as params.yaml asks: for a method, or for a unit and all methods."""

from pathlib import Path
from typing import Any

import pytest

from blemish.core.params import UnitFraming, load_params
from blemish.images.manifest import Facts, read_manifest, write_manifest
from blemish.methods.glass.params import Params as Glass
from tests.core.test_params import complaint, with_value


def asking(asked: dict[str, Any], target: Path) -> Path:
    return with_value("data.framing", asked, target)


def test_what_a_unit_asks_takes_the_place_of_what_methods_say() -> None:
    glass = Glass(resize="squash", variant="manifold")
    asked = glass.asked(UnitFraming(resize="tiles", scale=0.5))
    assert (asked.resize, asked.scale, asked.image_size) == ("tiles", 0.5, glass.image_size)
    assert glass.asked(UnitFraming()) is glass


def test_a_unit_may_ask_for_less_than_both(tmp_path) -> None:
    params = load_params(asking({"elpv/mono": {"scale": 0.25}}, tmp_path / "params.yaml"))
    asked = params.data.framing["elpv/mono"]
    assert params.method("glass").asked(asked).resize == "auto"
    assert params.method("glass").asked(asked).scale == 0.25


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"elpv/mona": {"resize": "fit"}}, ["data.framing.elpv/mona", "did you mean"]),
    ({"elpv/mono": {"resize": "tile"}}, ["data.framing.elpv/mono.resize", "'tile'", "'tiles'"]),
    ({"elpv/mono": {"scale": 0.0}}, ["data.framing.elpv/mono.scale", "greater than 0"]),
    (
        {"elpv/mono": {"resize": "tiles"}},
        ["data.framing.elpv/mono", "`dsarad`", "does not go with `flat_field: auto`", "set it to"],
    ),
]


@pytest.mark.parametrize(("asked", "parts"), WRONG)
def test_what_cannot_be_is_named(asked: dict[str, Any], parts: list[str], tmp_path) -> None:
    message = complaint(asking(asked, tmp_path / "params.yaml"))
    assert all(part in message for part in parts), message


def test_a_method_that_cannot_look_through_windows_says_why(tmp_path) -> None:
    message = complaint(with_value("dsarad.resize", "tiles", tmp_path / "params.yaml"))
    assert "`dsarad`: `resize: tiles` does not go with `flat_field: auto`" in message


def test_authors_cut_nothing_so_their_protocol_takes_no_tiles(tmp_path) -> None:
    path = with_value("evaluation.protocol", "paper", tmp_path / "params.yaml")
    path.write_text(path.read_text().replace("keep_every: 0", "keep_every: 1"))
    message = complaint(path)
    assert "`evaluation.protocol` is 'paper', but `glass.resize` is 'auto'" in message
    assert "set it to squash or crop" in message


def test_a_manifest_carries_what_its_unit_asks(tmp_path) -> None:
    facts = Facts("a/b", "none", framing={"resize": "tiles", "scale": 0.5})
    write_manifest([], facts, tmp_path / "manifest.parquet")
    assert read_manifest(tmp_path).framing() == UnitFraming(resize="tiles", scale=0.5)
    write_manifest([], Facts("a/b", "none"), tmp_path / "manifest.parquet")
    assert read_manifest(tmp_path).framing() == UnitFraming()
