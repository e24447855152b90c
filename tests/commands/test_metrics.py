"""`blemish metrics` on folders of maps: the numbers, the resolutions, and each bad file by name."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from blemish.commands.app import app
from blemish.core.errors import UserError
from blemish.evaluation.map_reader import read_map
from tests.metrics.reference import exact

SIZE = (90, 120)


def write_map(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez_compressed(path, values)
    else:
        tifffile.imwrite(path, values)


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, np.ndarray]:
    """6 good, 5 `crack` and 4 `spot` images; maps of three formats."""
    rng = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {}
    for kind, count in (("good", 6), ("crack", 5), ("spot", 4)):
        for number in range(count):
            mask = np.zeros(SIZE, np.uint8)
            if kind != "good":
                top, left = rng.integers(0, 60, 2)
                mask[top : top + 10 + 4 * number, left : left + 12] = 255
                suffix = "_mask.png" if kind == "crack" else ".png"
                (tmp_path / "masks" / kind).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(tmp_path / "masks" / kind / f"{number:03d}{suffix}"), mask)
            noise = cv2.GaussianBlur(rng.standard_normal(SIZE), (0, 0), 2) * 4
            one = (noise + 2 * (mask > 0)).astype(np.float32)
            path = Path(kind) / f"{number:03d}{('.npy', '.npz', '.tiff')[number % 3]}"
            write_map(tmp_path / "maps" / path, one)
            found[str(path.with_suffix(""))] = np.stack([one, mask > 0])
    return found


def call(root: Path, *options: str) -> Any:
    arguments = ["metrics", str(root / "maps"), str(root / "masks"), *options]
    return CliRunner().invoke(app, arguments)


def numbers(root: Path, *options: str) -> dict[str, Any]:
    result = call(root, "--json", *options)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def errors(root: Path, *options: str) -> str:
    result = call(root, "--json", *options)
    assert result.exit_code == 1
    assert result.stdout == ""
    return str(result.stderr).replace(f"{root}/", "")


def test_numbers_of_maps_in_three_formats(tmp_path, tree) -> None:
    found = numbers(tmp_path)
    maps = [one[0] for one in tree.values()]
    masks = [one[1] > 0 for one in tree.values()]
    for name, value in exact(maps, masks).items():
        assert found["metrics"][f"pixel_{name}"] == pytest.approx(value, abs=1e-4)
    labels, scores = [mask.any() for mask in masks], [one.max() for one in maps]
    assert found["metrics"]["image_auroc"] == pytest.approx(roc_auc_score(labels, scores))
    assert found["counts"] == {"good": 6, "defective": 9}
    assert {name: one["count"] for name, one in found["by_defect"].items()} == {
        "crack": 5, "spot": 4,
    }  # fmt: skip
    assert sum(one["count"] for one in found["by_area"].values()) == 9
    assert found["resolution"] == "as given"
    assert found["map_sizes"] == found["mask_sizes"] == ["120×90"]
    assert found["notes"] == []


def test_other_limit(tmp_path, tree) -> None:
    maps, masks = zip(*((one[0], one[1] > 0) for one in tree.values()), strict=True)
    found = numbers(tmp_path, "--fpr-limit", "0.05")["metrics"]
    assert found["pixel_aupro_0.05"] == pytest.approx(exact(maps, masks, 0.05)["aupro"], abs=1e-4)
    for bad in ("0", "1.5", "nan"):
        assert call(tmp_path, "--fpr-limit", bad).exit_code == 2


@pytest.mark.usefixtures("tree")
def test_tables(tmp_path) -> None:
    out = call(tmp_path).stdout
    assert f"{numbers(tmp_path)['metrics']['pixel_aupro']:.4f}" in out
    assert "crack" in out
    assert "resolution as given: maps 120×90, masks 120×90" in " ".join(out.split())


def test_resolutions(tmp_path, tree) -> None:
    """Maps of half the size: refused, resized to the masks, or the masks to them."""
    for name, (one, _) in tree.items():
        for old in (tmp_path / "maps").glob(f"{name}.*"):
            old.unlink()
        half = cv2.resize(one, (60, 45), interpolation=cv2.INTER_AREA)
        write_map(tmp_path / "maps" / f"{name}.npy", half)
    said = errors(tmp_path)
    assert said.count("error: ") == said.count("\n") == 15
    assert "maps/spot/000.npy: the map is 60×45 but its mask is 120×90 (width×height)" in said
    halves = [np.load(tmp_path / "maps" / f"{name}.npy") for name in tree]
    masks = [one[1] > 0 for one in tree.values()]
    back = [cv2.resize(one, (120, 90), interpolation=cv2.INTER_LINEAR) for one in halves]
    original = numbers(tmp_path, "--resolution", "original")
    expected = exact(back, masks)
    assert original["metrics"]["pixel_aupro"] == pytest.approx(expected["aupro"], abs=1e-4)
    assert original["resolution"] == "original"
    assert original["map_sizes"] == ["60×45"]
    model = numbers(tmp_path, "--resolution", "model")
    assert model["resolution"] == "model"
    small = [cv2.resize(one.astype(np.uint8), (60, 45), interpolation=cv2.INTER_NEAREST_EXACT) > 0
             for one in masks]  # fmt: skip
    expected = exact(halves, small)
    assert model["metrics"]["pixel_aupro"] == pytest.approx(expected["aupro"], abs=1e-4)


def test_missing_extra_and_doubled_maps_are_named(tmp_path, tree) -> None:
    (tmp_path / "maps/crack/000.npy").unlink()
    (tmp_path / "masks/spot/003.png").unlink()
    (tmp_path / "maps/notes.txt").write_text("hello")
    said = errors(tmp_path)
    mask = "masks/crack/000_mask.png"
    assert f"error: maps/crack/000.*: the map is missing, its mask is {mask}\n" in said
    assert "maps/spot/003.npy: an extra map without a mask" in said
    assert "maps/notes.txt: not .npy, .npz, .tiff, .tif: ignored" in said
    (tmp_path / mask).unlink()
    found = numbers(tmp_path)
    assert found["counts"] == {"good": 7, "defective": 7}
    assert len(found["notes"]) == 2
    write_map(tmp_path / "maps/spot/003.tiff", tree["spot/003"][0])
    assert "spot/003.tiff: 003.npy is a map of the same image: keep one" in errors(tmp_path)


@pytest.mark.usefixtures("tree")
def test_an_empty_mask_is_a_normal_image(tmp_path) -> None:
    before = numbers(tmp_path)["metrics"]
    (tmp_path / "masks/good").mkdir()
    cv2.imwrite(str(tmp_path / "masks/good/001_mask.png"), np.zeros(SIZE, np.uint8))
    found = numbers(tmp_path)
    assert found["counts"] == {"good": 6, "defective": 9}
    assert found["metrics"] == before


class Bomb:
    """Creates a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def claiming(shape: tuple[int, ...]) -> bytes:
    """An .npy file whose header promises far more than follows."""
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + b"\0" * 64


def test_bad_maps_are_named_and_nothing_is_unpickled(tmp_path, tree) -> None:
    good = tmp_path / "maps/good"
    one = tree["good/000"][0].copy()
    one[3, 3] = np.nan
    np.save(good / "000.npy", one)
    bombs = np.array([Bomb(tmp_path / "exploded")] * 4, dtype=object).reshape(2, 2)
    np.save(good / "003.npy", bombs, allow_pickle=True)
    np.savez(good / "001.npz", bombs, allow_pickle=True)
    (good / "002.tiff").write_bytes((good / "005.tiff").read_bytes()[:300])
    (good / "006.npy").write_bytes(claiming((1 << 20, 1 << 20)))
    with zipfile.ZipFile(good / "007.npz", "w") as archive:
        archive.writestr("arr_0.npy", claiming((1 << 20, 1 << 20)))
    np.savez(good / "008.npz", one, one)
    np.save(good / "009.npy", np.zeros((*SIZE, 3), np.float32))
    np.save(good / "010.npy", np.zeros(SIZE, np.complex64))
    np.save(good / "011.npy", np.full(SIZE, 1e300))
    (good / "012.npz").write_bytes(b"not a zip file")
    (good / "013.npy").write_bytes(b"")
    lines = errors(tmp_path).splitlines()
    assert not (tmp_path / "exploded").exists()
    expected = {
        "000.npy": "holds NaN", "001.npz": "", "002.tiff": "not a whole anomaly map",
        "003.npy": "holds pickled objects", "006.npy": "not a whole anomaly map",
        "007.npz": "not a whole anomaly map", "008.npz": "2 arrays instead of one",
        "009.npy": "of shape (90, 120, 3)", "010.npy": "holds complex64 values",
        "011.npy": "beyond float32", "012.npz": "not a whole", "013.npy": "not a whole",
    }  # fmt: skip
    assert len(lines) == len(expected)
    for name, message in expected.items():
        (line,) = [line for line in lines if f"maps/good/{name}: " in line]
        assert message in line


def is_read(path: Path) -> bool:
    """Whether the file is taken for a map; any error but a UserError goes through."""
    try:
        found = read_map(path)
    except UserError:
        return False
    return bool(np.isfinite(found).all())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".tiff"])
def test_damaged_bytes_are_read_or_refused(tmp_path, suffix) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / f"map{suffix}"
    write_map(path, rng.random((20, 30)).astype(np.float32))
    whole, refused = path.read_bytes(), 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 300), 4):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged[: rng.integers(1, len(whole))] if rng.random() < 0.2 else damaged)
        refused += not is_read(path)
    assert refused > 20


def test_axes_of_length_one_and_integers_are_taken(tmp_path, tree) -> None:
    before = numbers(tmp_path)["metrics"]
    np.save(tmp_path / "maps/good/000.npy", tree["good/000"][0][None, :, :, None].astype(float))
    assert numbers(tmp_path)["metrics"] == before
    np.save(tmp_path / "maps/good/000.npy", np.zeros(SIZE, np.uint8))
    assert numbers(tmp_path)["metrics"] != before


@pytest.mark.usefixtures("tree")
def test_channels_of_loco_give_spro(tmp_path) -> None:
    for number in range(4):
        mask = tmp_path / f"masks/spot/{number:03d}.png"
        mask.with_suffix("").mkdir()
        mask.rename(mask.with_suffix("") / "000.png")
    assert call(tmp_path).exit_code == 1
    config = [{"defect_name": "spot", "pixel_value": 255, "saturation_threshold": 1.0,
               "relative_saturation": True}]  # fmt: skip
    (tmp_path / "defects_config.json").write_text(json.dumps(config))
    found = numbers(tmp_path)
    spot = found["by_defect"]["spot"]
    assert {"pixel_spro", "pixel_spro_0.01", "pixel_spro_1"} <= spot.keys()
    assert "pixel_spro" not in found["by_defect"]["crack"]
    # Whole and connected defects: sPRO is PRO.
    assert spot["pixel_spro_0.3"] == pytest.approx(spot["pixel_aupro"], abs=1e-12)


@pytest.mark.usefixtures("tree")
def test_folders_that_are_not_there(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    for maps, masks, message in (
        ("nowhere", "masks", "nowhere: no such folder; give the folder of the anomaly maps"),
        ("maps", "nowhere", "nowhere: no such folder; give the folder of the masks"),
        ("empty", "masks", "empty: holds no .npy, .npz, .tiff, .tif file"),
    ):
        result = CliRunner().invoke(app, ["metrics", str(tmp_path / maps), str(tmp_path / masks)])
        assert result.exit_code == 1
        assert message in str(result.exception)


@pytest.mark.usefixtures("tree")
def test_masks_as_jpeg_give_the_numbers_of_the_drawn_ones(tmp_path: Path) -> None:
    drawn = json.loads(call(tmp_path, "--json").stdout)
    for number, path in enumerate(sorted((tmp_path / "masks").rglob("*.png"))):
        stem = path.stem.removesuffix("_mask") + ("_mask", "_GT", "_label")[number % 3]
        cv2.imwrite(str(path.with_name(f"{stem}.jpg")), cv2.imread(str(path)))
        path.unlink()
    read = json.loads(call(tmp_path, "--json").stdout)
    assert read["metrics"] == pytest.approx(drawn["metrics"], abs=0.02)
    assert any("soft or noisy edges" in note for note in read["notes"])
