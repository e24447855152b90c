"""`blemish predict` with zones: the model's own, those of a folder, none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from blemish.core.data_params import Tolerance
from blemish.core.errors import UserError
from blemish.images.reading import read_image
from blemish.images.seen_zones import UnitZones, ZoneReader
from blemish.images.zones import IGNORED, ZoneMap, write_zone_map
from blemish.methods.saved import save
from blemish.methods.scoring import score_each
from tests.models import new
from tests.predict.bright import COLUMNS, Params, files, predict, write_image

pytestmark = pytest.mark.usefixtures("bright")

SIZE = (96, 128)
TOLERANCES = {"rim": Tolerance(false_alarm_rate=0.1, min_area=400)}
CLOCK, SMALL, LARGE = (4, 4, 12, 30, 250), (50, 104, 12, 12, 200), (40, 100, 40, 24, 200)
MIDDLE, ACROSS = (50, 30, 20, 20, 200), (50, 60, 24, 64, 200)


def zones() -> ZoneMap:
    """The upper 24 rows are ignored, of the others the right 32 columns are the rim."""
    index = np.zeros(SIZE, np.uint8)
    index[:, 96:] = 1
    index[:24] = IGNORED
    return ZoneMap(("rim",), index)


def write_zoned_model(root: Path, shared: bool = True, names: tuple[str, ...] = ("rim",)) -> Path:
    """Of 20 normals with a clock of any brightness, a glint of 61 … 80 on the rim, 51 elsewhere."""
    folder, unit = root / "model", root / "unit"
    folder.mkdir()
    index = zones().index if names else np.where(zones().index == 1, 0, zones().index)
    for name in ("all.png", "own.png"):
        write_zone_map(ZoneMap(names, index.astype(np.uint8)), unit / name)
    files = [
        write_image(unit / f"{i}.png", SIZE, (4, 4, 12, 30, 100 + i), (50, 104, 20, 20, 61 + i))
        for i in range(20)
    ]
    maps = ["all.png"] * 19 + ["all.png" if shared else "own.png"]
    rows = pd.DataFrame({"zones": maps, "height": 96, "width": 128, "split": "val", "label": 0})
    detector = new("bright", Params())
    tolerances = {name: TOLERANCES[name] for name in names}
    known = UnitZones(tolerances, ZoneReader(unit, names, detector.framing), rows)
    pictures = [torch.from_numpy(detector.framing.to_model(read_image(file))) for file in files]
    normals = score_each(detector, pictures, [SIZE] * 20, known.of_normals())
    save(detector, folder, "tiny/bolts", normals, zones=known)
    return folder


@pytest.fixture
def zoned(tmp_path: Path) -> Path:
    return write_zoned_model(tmp_path)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    folder = tmp_path / "parts"
    for name, spot in {
        "a-clock": CLOCK, "b-small": SMALL, "c-large": LARGE, "d-middle": MIDDLE, "e-across": ACROSS
    }.items():  # fmt: skip
        write_image(folder / f"{name}.png", SIZE, spot)
    return folder


def rows(*words: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    *found, last = map(json.loads, predict(*words, "--json").stdout.splitlines())
    return found, last["summary"]


def alarms(*words: Any) -> list[str]:
    return [row["zone_alarms"] for row in rows(*words)[0]]


EXPECTED = ["", "", "rim", "rest", "rim, rest"]


def test_the_model_s_own_zones_decide(zoned: Path, parts: Path) -> None:
    assert (zoned / "zones.png").is_file()
    found, summary = rows(zoned, parts)
    assert [row["zone_alarms"] for row in found] == EXPECTED
    assert [row["decision"] for row in found] == [0, 0, 1, 1, 1]
    assert [row["regions"] for row in found] == [0, 0, 1, 1, 2]
    # The clock is not judged: the score is that of the ground, ten times the map.
    assert found[0]["score"] == pytest.approx(2, abs=0.01)
    assert found[0]["map_maximum"] == pytest.approx(0.2)
    assert found[1]["score"] == pytest.approx(2000 / 255, abs=0.01)
    rim, rest = summary["zones"]["rim"], summary["zones"]["rest"]
    # Of 20 normals two may be above in the rim, one in the rest.
    assert rim["threshold"] == pytest.approx(10 * 78 / 255)
    assert (rim["false_alarm_rate"], rim["min_area"]) == (0.1, 400)
    assert rest["threshold"] == pytest.approx(2)
    assert (summary["alarms"], "notes" in summary) == (3, False)


def test_rates_and_thresholds_of_the_command_line(zoned: Path, parts: Path) -> None:
    _, summary = rows(zoned, parts, "--false-alarm-rate", 0.5)
    assert summary["zones"]["rim"]["false_alarm_rate"] == 0.1
    assert summary["zones"]["rest"]["false_alarm_rate"] == 0.5
    found, summary = rows(zoned, parts, "--threshold", 7.9, "--map-threshold", 0.1)
    assert [row["zone_alarms"] for row in found] == [""] * 5
    assert summary["zones"]["rim"]["threshold"] == 7.9
    # The whole rim is a region of the ground, as is the whole rest.
    assert [row["regions"] for row in found] == [2] * 5
    assert alarms(zoned, parts, "--threshold", 1, "--map-threshold", 0.1) == ["rim, rest"] * 5


def test_files_name_the_zones(zoned: Path, parts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = [word for name in ("labelme", "overlays", "heatmaps", "maps")
               for word in (f"--{name}", out / name)]  # fmt: skip
    done = predict(zoned, parts, *options, "--scores", out / "s.parquet")
    assert "by zone: rim (10 %, from 400 px), rest (5 %)), 4 regions" in done.stderr
    table = pd.read_parquet(out / "s.parquet")
    assert list(table) == [*COLUMNS, "zone_alarms"]
    assert table["zone_alarms"].tolist() == EXPECTED
    across = json.loads((out / "labelme" / "e-across.json").read_text())
    assert across["flags"] == {"alarm": True, "alarm in rim": True, "alarm in rest": True}
    said = sorted(shape["description"].rpartition(", ")[2] for shape in across["shapes"])
    assert said == ["zone rest", "zone rim"]
    quiet = json.loads((out / "labelme" / "b-small.json").read_text())
    assert (quiet["flags"]["alarm in rim"], quiet["shapes"]) == (False, [])
    for shape in across["shapes"]:
        xs = np.array(shape["points"])[:, 0]
        assert (xs.max() < 96) if "rest" in shape["description"] else (xs.min() > 96)
    for name in ("overlays", "heatmaps"):
        for file in sorted((out / name).iterdir()):
            picture = np.asarray(Image.open(file))
            assert set(np.unique(picture[:24])) == {120, 160}
            if file.stem == "a-clock":  # no outline over it
                assert (picture[30:90, 96] == 225).all()  # the border of the rim
    anomaly_map = np.load(out / "maps" / "a-clock.npy")
    assert (anomaly_map[:24] == anomaly_map[24:].min()).all()
    lines = predict(zoned, parts).stdout.splitlines()
    assert lines[4].endswith("e-across.png  (in rim, rest)")
    assert lines[0].endswith("a-clock.png")


def test_a_folder_takes_the_place_of_the_model_s_zones(
    zoned: Path, parts: Path, tmp_path: Path
) -> None:
    drawn = tmp_path / "drawn"
    (drawn / "rim").mkdir(parents=True)
    middle = np.zeros(SIZE, np.uint8)
    middle[40:80, 20:60] = 255
    Image.fromarray(middle).save(drawn / "ignore.png")
    assert alarms(zoned, parts, "--zones", drawn) == ["rest", "rest", "rest", "", "rest"]
    Image.fromarray(255 - middle).save(drawn / "rim" / "c-large.png")
    Image.fromarray(255 - middle).save(drawn / "rim" / "b-small.png")
    assert alarms(zoned, parts, "--zones", drawn) == ["rest", "", "rim", "", "rest"]


def test_zones_that_do_not_fit(zoned: Path, parts: Path, tmp_path: Path) -> None:
    write_image(parts / "f-wide.png", (96, 130), CLOCK)
    found, summary = rows(zoned, parts)
    assert found[-1]["zone_alarms"] == "rest"
    assert summary["notes"] == [
        "1 image(s) are not 128×96 as the zones of the model: all of them is judged, as what is in "
        "no zone; --zones gives them zones."
    ]
    assert summary["notes"][0] in predict(zoned, parts).stderr
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    Image.fromarray((zones().index == IGNORED).astype(np.uint8) * 255).save(drawn / "ignore.png")
    done = predict(zoned, parts, "--zones", drawn, "--json")
    assert done.exit_code == 3
    assert (
        f"skipped: {drawn / 'ignore.png'}: the zone is 128×96 but its image is 130×96"
        in done.stderr
    )
    assert len(done.stdout.splitlines()) == 6


def test_zones_that_differ_from_image_to_image_must_be_given(parts: Path, tmp_path: Path) -> None:
    model = write_zoned_model(tmp_path, shared=False)
    assert not (model / "zones.png").exists()
    found, summary = rows(model, parts)
    assert [row["zone_alarms"] for row in found] == ["rest"] * 5
    assert "zones that are not the same on all images" in summary["notes"][0]


def test_a_model_that_only_ignores_keeps_the_usual_table(parts: Path, tmp_path: Path) -> None:
    model = write_zoned_model(tmp_path, names=())
    found, summary = rows(model, parts)
    assert all(list(row) == COLUMNS for row in found)
    assert [row["decision"] for row in found] == [0, 1, 1, 1, 1]
    assert [row["regions"] for row in found] == [0, 1, 1, 1, 1]
    assert summary["threshold"] == pytest.approx(10 * 79 / 255)
    assert "zones" not in summary


def test_any_model_ignores_what_a_folder_says(model: Path, parts: Path, tmp_path: Path) -> None:
    found, _ = rows(model, parts)
    assert [row["decision"] for row in found] == [1] * 5
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    Image.fromarray((zones().index == IGNORED).astype(np.uint8) * 255).save(drawn / "ignore.png")
    found, summary = rows(model, parts, "--zones", drawn)
    assert [row["decision"] for row in found] == [0, 1, 1, 1, 1]
    assert found[0]["score"] == pytest.approx(2)
    assert list(found[0]) == COLUMNS
    assert not {"zones", "notes"} & set(summary)
    Image.new("L", (128, 96), 255).save(drawn / "rim.png")
    done = predict(model, parts, "--zones", drawn)
    with pytest.raises(UserError, match=r"rim.png: unknown zone 'rim'; known: ignore"):
        raise done.exception or AssertionError


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "`--zones` is '.*drawn': no such folder"),
        (["no.txt"], "which holds no zones: see docs/data.md"),
        (["hub.png"], "hub.png: unknown zone 'hub'.*known: rim, ignore"),
        (["rim/twice.png"], "2 images are called twice: put the zones"),
    ],
)
def test_folders_that_cannot_be_used(
    zoned: Path, parts: Path, tmp_path: Path, names: list[str], message: str
) -> None:
    for name in ("x", "y"):
        write_image(parts / name / "twice.png", SIZE)
    drawn = tmp_path / "drawn"
    for file in names:
        (drawn / file).parent.mkdir(parents=True, exist_ok=True)
        if file != "no.txt":
            Image.new("L", (128, 96), 255).save(drawn / file)
    done = predict(zoned, parts, "--zones", drawn, "--labelme", tmp_path / "out")
    assert isinstance(done.exception, UserError)
    assert done.stdout == ""
    with pytest.raises(UserError, match=message):
        raise done.exception
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no picture", "zones.png: not a whole image"),
        (np.full(SIZE, 7, np.uint8), "zones.png: holds zone number 7, but 1 zones are named"),
        (np.zeros((*SIZE, 3), np.uint8), "zones.png: not a map of zones"),
        (np.full(SIZE, IGNORED, np.uint8), "zones.png: leaves nothing to be judged: train"),
    ],
)
def test_zones_of_a_model_are_hostile_input(
    zoned: Path, parts: Path, tmp_path: Path, content: Any, message: str
) -> None:
    if isinstance(content, bytes):
        (zoned / "zones.png").write_bytes(content)
    else:
        Image.fromarray(content).save(zoned / "zones.png")
    done = predict(zoned, parts, "--labelme", tmp_path / "out")
    with pytest.raises(UserError, match=message):
        raise done.exception or AssertionError
    assert not files(tmp_path / "out")
