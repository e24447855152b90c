"""A method's own mix of training defects, in the place of the unit's."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from blemish.core.errors import UserError
from blemish.core.params import KindParams, read_yaml
from blemish.core.profiles import apply_profile
from stages import synthesize
from tests.units import NO_CROPS, PARAMS, run_stage, tiny_unit

MIX = {"cutpaste": 1.0, "self": 1.0, "mura": 2.0, "dlas": 1.0, "dsarad": 1.0}
ROOT = Path(__file__).resolve().parents[2]


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """The same recipes, one drawn and one read from a file, where "none" is NaN."""
    one, other = (rows.fillna({"texture": ""}) for rows in (one, other))
    pd.testing.assert_frame_equal(one, other, check_dtype=False)


def test_a_mix_of_a_method_is_what_the_unit_would_have_drawn(tmp_path) -> None:
    plain = tiny_unit()
    shared = plain.copy(tmp_path / "unit")
    shutil.rmtree(shared.synthetic)
    changes = {"synthesis": PARAMS["synthesis"] | {"kinds": MIX}}
    run_stage(
        synthesize.main, changes, shared.prepared, shared.textures, NO_CROPS, shared.synthetic
    )
    own, units = plain.open().with_kinds(KindParams(**MIX)), shared.open()
    rows, seen = torch.tensor([5, 0, 10, 3, 8]), set()
    for epoch in range(own.draws):
        drawn = own.draw(rows, epoch, seed=4)
        assert_same(drawn, units.draw(rows, epoch, seed=4))
        seen |= set(drawn["kind"])
    assert len(seen) > 3


def test_without_a_mix_the_recipes_are_the_units() -> None:
    unit = tiny_unit().open()
    rows = torch.arange(11)
    drawn = unit.with_kinds(None).draw(rows, 0, seed=4)
    assert set(drawn["kind"]) == {"perlin"}
    same = unit.with_kinds(KindParams(perlin=1.0)).draw(rows, 0, seed=4)
    assert_same(same, drawn)


def test_a_mix_with_crops_needs_prepared_ones() -> None:
    message = r"tiny/bolts: the method's `kinds\.crops` is above 0, but no crops are prepared"
    with pytest.raises(UserError, match=message):
        tiny_unit().open().with_kinds(KindParams(crops=0.1))


def test_a_profiles_mix_replaces_the_whole_of_ours(tmp_path: Path) -> None:
    target = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    (tmp_path / "mine.yaml").write_text("glass: {kinds: {spot: 0.5, line: 1.0}}")
    (tmp_path / "other.yaml").write_text("glass: {kinds: {line: 2.0}}")
    changed = apply_profile("mine", tmp_path, target)
    assert changed == ["glass.kinds: None → {'spot': 0.5, 'line': 1.0}"]
    changed = apply_profile("other", tmp_path, target)
    assert changed == ["glass.kinds.line: 1.0 → 2.0", "glass.kinds.spot: 0.5 → 0.0"]
    assert read_yaml(target)["glass"]["kinds"] == {"spot": 0.0, "line": 2.0}
