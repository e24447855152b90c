"""The registered units, their facts, and what `blemish units` says of them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from blemish.core.errors import UserError
from blemish.datasets import catalogue
from blemish.datasets.dataset import data_set
from blemish.datasets.registry import DATA_SETS, all_units, check_unit
from tests.miniatures import layouts
from tests.miniatures.paint import pack
from tests.units import tiny_unit

ROOT = Path(__file__).resolve().parents[2]
OBJECTS = "bottle cable capsule hazelnut metal_nut pill screw toothbrush transistor zipper"
TEXTURES = "carpet grid leather tile wood"
LOCO = "breakfast_box juice_bottle pushpins screw_bag splicing_connectors"
# The rows of the table of data sets; anolcd's nine categories are the archive's to name.
UNITS = {
    "mvtec": f"{OBJECTS} {TEXTURES}",
    "loco": LOCO,
    "loco-structural": LOCO,
    "loco-logical": LOCO,
    "visa": "candle capsules cashew chewinggum fryum macaroni1 macaroni2 pcb1 pcb2 pcb3 pcb4 "
    "pipe_fryum",
    "mpdd": "bracket_black bracket_brown bracket_white connector metal_plate tubes",
    "wfdd": "grey_cloth grid_cloth yellow_cloth pink_flower",
    "mad-man": f"{OBJECTS} {TEXTURES}",
    "mad-sys": TEXTURES,
    "anolcd": "",
    "lcd-light": "panel",
    "lcd-surface": "phone",
    "pcb": "board 01 04 05 06 07 08 09 10 11 12",
    "magnetic-tile": "tile",
    "magnetic-tile-thu": "tile",
    "elpv": "mono poly",
    "mvtec2": "can fabric fruit_jelly rice sheet_metal vial wallplugs walnuts",
    "ksdd2": "surface",
    "btad": "01 02 03",
    "dagm": " ".join(f"Class{number}" for number in range(1, 11)),
    "aitex": "00 01 02 03 04 05 06",
    "bsdata": "ball-screw",
    "casting": "impeller",
    "lcdsim": "grey white black red green blue gradient checker text",
}
WITHOUT_ARCHIVE = {"elpv", "lcdsim"}
KEYS = {"train", "val", "test_good", "test_defective"}


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace without any archive."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BLEMISH_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "mirror").mkdir()
    return tmp_path


def test_every_published_unit_is_registered() -> None:
    assert set(DATA_SETS) == set(UNITS)
    for name, categories in UNITS.items():
        assert sorted(data_set(name, {}).categories) == sorted(categories.split()), name
    assert [name for name in DATA_SETS if data_set(name, {}).open_categories] == ["anolcd"]


def test_every_set_has_its_row_in_the_specification() -> None:
    table = (ROOT / "docs/spec/datasets.md").read_text(encoding="utf-8")
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert [name for name in DATA_SETS if not any(f"`{name}/`" in row for row in rows)] == []


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_set_states_its_facts(name: str) -> None:
    facts = data_set(name, {})
    assert facts.name == name
    for text in (facts.title, facts.licence, facts.citation):
        assert len(text) > 2
        assert text == text.strip()
    assert bool(facts.home) == (name != "lcdsim")
    assert bool(facts.archives) == (name not in WITHOUT_ARCHIVE)
    for alternatives in facts.archives:
        for archive in alternatives:
            assert archive.by_hand
            assert all(url.startswith("https://") for url in archive.urls)
            # what is downloaded without anybody looking must be verified
            assert archive.checksum or not archive.urls
            assert re.fullmatch(r"(sha256:[0-9a-f]{64})?", archive.checksum)
    for category, counts in facts.expected.items():
        assert category in {"", *facts.categories}
        assert set(counts) <= KEYS
        assert all(isinstance(count, int) and count > 0 for count in counts.values())


@pytest.mark.usefixtures("empty")
def test_a_record_for_each_unit_as_json() -> None:
    records = catalogue.records({})
    assert json.loads(json.dumps(records)) == records
    units = [record["unit"] for record in records if record["unit"]]
    assert units == all_units({})
    assert len(units) == len(set(units)) == 98 + 31
    by_unit = {record["unit"]: record for record in records}
    assert by_unit["elpv/mono"]["status"] == "ready"
    assert by_unit["visa/candle"]["status"] == "downloadable"
    assert by_unit["mpdd/tubes"]["status"] == "by hand"
    # MVTec's half can be downloaded, the subsets cannot
    states = [need["status"] for need in by_unit["mad-man/screw"]["archives"]]
    assert states == ["by hand", "downloadable"]
    assert by_unit["mad-man/screw"]["status"] == "by hand"
    (unnamed,) = [record for record in records if record["unit"] is None]
    assert (unnamed["data_set"], unnamed["open_categories"]) == ("anolcd", True)


def test_an_archive_at_hand_makes_its_units_ready(empty: Path) -> None:
    layouts.mvtec_screw(empty / "built")
    pack(empty / "built", empty / "mirror" / "screw.tar.xz")
    found = {record["unit"]: record["status"] for record in catalogue.records({})}
    assert found["mvtec/screw"] == "ready"
    assert found["mvtec/tile"] == "downloadable"
    Path("data/downloads/MPDD").mkdir(parents=True)
    layouts.mpdd(Path("data/downloads/MPDD"))
    assert catalogue.describe(data_set("mpdd", {}), "tubes")["status"] == "ready"


def printed(function: Any, *arguments: Any) -> str:
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    function(*arguments, console)
    return console.export_text()


@pytest.mark.usefixtures("empty")
def test_the_table_has_one_row_a_set_and_what_to_do_by_hand() -> None:
    text = printed(catalogue.print_catalogue, {})
    for name in DATA_SETS:
        assert len(re.findall(rf"^{name}/", text, re.MULTILINE)) == 1, name
    for category in UNITS["visa"].split():
        assert category in text
    assert "MPDD.zip" in text
    assert "from the OneDrive folder linked by github.com/stepanje/MPDD" in text
    assert "data/downloads/" in text
    assert len(text.splitlines()) < 120


@pytest.mark.usefixtures("empty")
def test_one_unit_in_full() -> None:
    text = printed(catalogue.print_unit, "loco/pushpins", {})
    words = " ".join(text.split())
    for part in (
        "CC BY-NC-SA 4.0",
        "Bergmann et al., Beyond dents and scratches",
        "mvtec_loco_anomaly_detection.tar.xz: downloadable",
        "6,126,996,224 bytes",
        "by hand: from mvtec.com/company/research/datasets/mvtec-loco into data/downloads/",
        "train 372, val 69, test good 138, test defective 172",
        "not prepared yet",
    ):
        assert part in words, part
    assert "sha256:9e7c84dba550fd2e59d8e9e231c929c45ba737b6b6a6d3814100f54d63aae687" in (
        "".join(text.split())
    )


@pytest.mark.usefixtures("empty")
def test_one_unit_tells_what_is_on_disk() -> None:
    target = Path("data/prepared/mpdd/tubes")
    target.parent.mkdir(parents=True)
    target.symlink_to(tiny_unit().prepared)
    found = catalogue.one_unit("mpdd/tubes", {})["prepared"]
    assert sum(found["counts"].values()) == sum(found["defects"].values()) == 32
    text = printed(catalogue.print_unit, "mpdd/tubes", {})
    assert found["test_defective"] == 12
    assert "(12 of the test defective)" in text


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ("mvtecad/screw", r"unknown data set 'mvtecad' \(did you mean 'mvtec/screw'\?\)"),
        ("screw", r"expected `<data set>/<category>` \(did you mean 'mvtec/screw'\?\)"),
        ("Screw", r"did you mean 'mvtec/screw'"),
        ("mvtec", r"expected `<data set>/<category>`"),
        ("visa/candel", r"unknown category 'candel' \(did you mean 'candle'\?\); valid: candle,"),
        ("loco_logical/pushpins", r"did you mean 'loco-logical/pushpins'"),
        ("mad_sys/wood", r"did you mean 'mad-sys/wood'"),
        ("pcb/1", r"unknown category '1'.*valid: board, 01, 04"),
        ("anolcd/../x", r"expected `<data set>/<category>`"),
        ("anolcd/..", r"unknown category '\.\.'; valid: a folder of the archive"),
        ("anolcd/a b", r"unknown category 'a b'"),
    ],
)
def test_a_unit_that_cannot_exist_is_answered_with_one_that_can(unit: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check_unit(unit, {}, "the unit")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("unit", ["anolcd/Type-3", "anolcd/显示屏1", "pcb/01", "mad-man/screw"])
def test_a_unit_that_can_exist_is_accepted(unit: str) -> None:
    check_unit(unit, {}, "the unit")


def test_the_command_prints_json_and_one_line_of_error(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())

    def blemish(*words: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; sys.argv[0] = 'blemish'; from blemish.commands.app import main; main()"
        command = [sys.executable, "-c", code, "units", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    one = json.loads(blemish("mvtec/screw", "--json").stdout)
    assert one["expected"] == {"train": 320, "test_good": 41, "test_defective": 119}
    assert one["prepared"] is None
    wrong = blemish("mvtec/scew")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: the unit is 'mvtec/scew': unknown category")
    assert len(wrong.stderr.splitlines()) == 1
