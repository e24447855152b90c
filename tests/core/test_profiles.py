"""Profiles change numbers in params.yaml, and nothing else in it."""

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blemish.core.errors import UserError
from blemish.core.params import default_settings, load_params, read_yaml
from blemish.core.profiles import apply_profile, set_params
from blemish.methods.registry import METHODS

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ROOT / "profiles"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def flat(content: dict[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from flat(value, f"{where}{key}.")
        else:
            yield f"{where}{key}", value


def method_params(name: str) -> Any:
    return importlib.import_module(f"blemish.methods.{name}.params").Params


def test_params_yaml_ships_as_the_quick_profile(target: Path) -> None:
    before = target.read_bytes()
    assert apply_profile("quick", PROFILES, target) == []
    assert target.read_bytes() == before


@pytest.mark.parametrize("name", ["quick", "paper"])
def test_a_profile_holds_differences_only(name: str) -> None:
    defaults = dict(flat(default_settings()))
    named = dict(flat(read_yaml(PROFILES / f"{name}.yaml")))
    assert named.pop("reset") is True
    same = [key for key, value in named.items() if defaults.get(key) == value]
    # A mix of kinds is a whole, so a part of it may equal the default's.
    assert [key for key in same if ".kinds." not in key] == []


def test_params_yaml_lists_every_setting() -> None:
    shipped = {key for key, _ in flat(read_yaml(ROOT / "params.yaml"))}
    assert {key for key, _ in flat(default_settings())} <= shipped


def test_a_setting_of_a_method_that_no_profile_names_is_set_too(target: Path) -> None:
    set_params(["glass.patch=5", "synthesis.seed=9", "data.split_seed=3"], target)
    assert "glass.patch: 5 → 3" in apply_profile("paper", PROFILES, target)
    params = load_params(target)  # what no profile is about stays the user's
    assert (params.synthesis.seed, params.data.split_seed) == (9, 3)


def test_paper_writes_the_published_settings_and_says_what_changed(target: Path) -> None:
    changed = apply_profile("paper", PROFILES, target)
    assert "glass.image_size: 256 → 288" in changed
    assert "synthesis.textures.source: builtin → dtd" in changed
    params = load_params(target)
    for name in METHODS:  # whose defaults are the published ones
        assert params.method(name) == method_params(name)()
    named = dict(flat(read_yaml(PROFILES / "paper.yaml"))).items() - {("reset", True)}
    assert named <= dict(flat(read_yaml(target))).items()


def test_grid_comments_and_style_stay(target: Path) -> None:
    text = target.read_text().replace("- elpv/mono", '- "elpv/poly"  # mine')
    text = text.replace("  - 0\n", "  - 0\n  - 7\n")
    target.write_text(text)
    changed = apply_profile("paper", PROFILES, target)
    params = load_params(target)
    assert (params.units, params.seeds) == (["elpv/poly", "lcdsim/grey"], [0, 7])
    before, after = text.splitlines(), target.read_text().splitlines()
    assert len(before) == len(after)
    differing = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert len(differing) == len(changed)
    for old, new in differing:
        assert old.partition(":")[0] == new.partition(":")[0]
        assert old.partition("#")[2] == new.partition("#")[2]


def test_there_and_back_is_the_same_bytes(target: Path) -> None:
    before = target.read_bytes()
    there = apply_profile("paper", PROFILES, target)
    back = apply_profile("quick", PROFILES, target)
    assert len(there) == len(back) > 15
    assert target.read_bytes() == before


def test_another_grid_keeps_the_comments_around_it(target: Path) -> None:
    before = target.read_text()
    settings = ["units=[elpv/mono, elpv/poly]", "seeds=[1, 2]", "methods=[patchcore, glass]"]
    set_params(settings, target)
    after = target.read_text()
    params = load_params(target)
    assert (params.units, params.seeds) == (["elpv/mono", "elpv/poly"], [1, 2])
    assert params.methods == ["patchcore", "glass"]
    comments = [line.strip() for line in before.splitlines() if line.startswith("#")]
    assert len(comments) >= 4
    assert [line.strip() for line in after.splitlines() if line.startswith("#")] == comments
    assert "  - patchcore                  # needs no training" in after
    assert "  - 2\n\n# Everything below" in after
    assert before.partition("\n# Everything")[2] == after.partition("\n# Everything")[2]


@pytest.mark.parametrize(
    "units", ["[elpv/mono,  # one\n  lcdsim/grey]", "\n  - # odd\n    elpv/mono"]
)
def test_a_comment_in_an_odd_place_stops_nothing(units: str, target: Path) -> None:
    text = target.read_text().replace("units:\n  - elpv/mono\n  - lcdsim/grey", f"units: {units}")
    target.write_text(text)
    set_params(["units=[elpv/poly]"], target)
    assert load_params(target).units == ["elpv/poly"]


# profile's name, its text, what the message must hold
BAD = [
    ("fast", None, ["fast.yaml", "no such profile", "mine, paper, quick"]),
    ("mine", "seeds: [1]\n", ["mine.yaml", "`seeds` belongs to the grid", "remove it"]),
    ("mine", "glass: {epoch: 1}\n", ["mine.yaml", "`glass.epoch`", "did you mean 'epochs'"]),
    ("mine", "glass: {epochs: x}\n", ["mine.yaml", "`glass.epochs` is 'x'", "integer"]),
    ("mine", "glass: [\n", ["mine.yaml, line", "not valid YAML"]),
    ("mine", "glass: 3\n", ["mine.yaml", "`glass` is 3", "dictionary"]),
]


@pytest.mark.parametrize(("name", "text", "parts"), BAD)
def test_a_bad_profile_changes_nothing(
    name: str, text: str | None, parts: list[str], target: Path, tmp_path: Path
) -> None:
    profiles = Path(shutil.copytree(PROFILES, tmp_path / "profiles"))
    (profiles / "mine.yaml").write_text(text or "{}")
    before = target.read_bytes()
    with pytest.raises(UserError) as caught:
        apply_profile(name, profiles, target)
    for part in parts:
        assert part in str(caught.value)
    assert target.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.yaml", "profiles"]


def test_a_missing_or_broken_params_yaml_is_named(tmp_path: Path) -> None:
    target = tmp_path / "params.yaml"
    with pytest.raises(UserError, match=r"params.yaml is missing"):
        apply_profile("quick", PROFILES, target)
    target.write_text("units: [\n")
    with pytest.raises(UserError, match=r"params.yaml, line \d: not valid YAML"):
        apply_profile("quick", PROFILES, target)
