"""The texture bank: built in without network, DTD from the mirror, no class for two purposes."""

import hashlib
import io
import socket
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.params import TextureParams
from blemish.download.archive import Archive
from blemish.synthesis.augment import augment
from blemish.synthesis.textures import TextureBank
from blemish.textures import bank as bank_module
from blemish.textures import procedural
from blemish.textures.bank import SIDE, SKIMAGE, SKLEARN, build_bank, write_photographs
from blemish.textures.index import INDEX, held_out_classes

DTD_CLASSES = [
    "banded", "blotchy", "braided", "bubbly", "bumpy",
    "chequered", "cobwebbed", "cracked", "crosshatched", "crystalline",
]  # fmt: skip


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def purposes(folder: Path) -> dict[str, set[str]]:
    index = pd.read_csv(folder / INDEX)
    return {purpose: set(rows["class"]) for purpose, rows in index.groupby("purpose")}


@pytest.fixture(scope="module")
def builtin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in bank, made while every connection is refused."""
    folder = tmp_path_factory.mktemp("textures")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the built-in bank asked the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        build_bank(TextureParams(), folder)
    return folder


def test_the_builtin_bank_needs_no_network_and_is_complete(builtin: Path) -> None:
    index = pd.read_csv(builtin / INDEX)
    photographs = {*SKIMAGE, *(name.partition(".")[0] for name in SKLEARN)}
    assert set(index["class"]) == photographs | set(procedural.FAMILIES)
    assert (len(photographs), len(procedural.FAMILIES)) == (13, 11)
    counts = index["class"].value_counts()
    assert (counts[list(procedural.FAMILIES)] == procedural.VARIANTS).all()
    assert counts[list(photographs)].between(2, 9).all()
    assert set(index["file"]) == set(digests(builtin)) - {INDEX}


def test_textures_are_whole_varied_and_large_enough(builtin: Path) -> None:
    for name in pd.read_csv(builtin / INDEX)["file"]:
        with Image.open(builtin / name) as image:
            assert image.mode == "RGB"
            assert min(image.size) >= (191 if name.startswith("page") else 0.75 * SIDE), name
            assert np.asarray(image).std() > 4, name


def test_no_class_serves_two_purposes(builtin: Path) -> None:
    found = purposes(builtin)
    assert not found["train"] & found["validation"]
    assert (len(found["train"]), len(found["validation"])) == (18, 6)
    train, validation = (TextureBank(builtin, p).names for p in ("train", "validation"))
    assert len(train) + len(validation) == len(pd.read_csv(builtin / INDEX))


def test_photographs_are_cut_the_same_way_every_time(builtin: Path, tmp_path: Path) -> None:
    write_photographs(tmp_path)
    again, first = digests(tmp_path), digests(builtin)
    assert len(again) == 52
    assert again.items() <= first.items()


def test_procedural_textures_are_the_same_bytes_for_a_seed(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        procedural.write_textures(tmp_path / name, 48, seed)
    one, two, other = (digests(tmp_path / name) for name in ("one", "two", "other"))
    assert len(one) == len(set(one.values())) == 11 * procedural.VARIANTS
    assert one == two
    assert not set(one.values()) & set(other.values())


def test_the_whole_index_follows_from_the_seed(builtin: Path) -> None:
    classes = set(pd.read_csv(builtin / INDEX)["class"])
    held_out = held_out_classes(classes, 0.25, 0)
    assert held_out == purposes(builtin)["validation"]
    assert held_out_classes(classes, 0.25, 1) != held_out
    # A class that is added moves at most the one at the border.
    assert len(held_out - held_out_classes({*classes, "added"}, 0.25, 0)) <= 1


@pytest.mark.parametrize(("share", "count"), [(0.01, 1), (0.25, 2), (0.5, 5), (0.99, 9)])
def test_each_purpose_has_a_class(share: float, count: int) -> None:
    assert len(held_out_classes(set(DTD_CLASSES), share, 0)) == count


def test_dtd_comes_from_the_mirror(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BLEMISH_MIRROR", str(mirror))
    (tmp_path / "bank").mkdir()
    build_bank(TextureParams(source="dtd", validation_fraction=0.3), tmp_path / "bank")
    index = pd.read_csv(tmp_path / "bank" / INDEX)
    assert index["class"].value_counts().to_dict() == dict.fromkeys(DTD_CLASSES, 120)
    found = purposes(tmp_path / "bank")
    assert (len(found["train"]), len(found["validation"])) == (7, 3)
    assert not found["train"] & found["validation"]
    name = index["file"][0]
    with tarfile.open(mirror / "dtd-10of47.tar") as archive:
        published = archive.extractfile(f"dtd/images/{name}")
        assert published is not None
        assert (tmp_path / "bank" / name).read_bytes() == published.read()
    texture = TextureBank(tmp_path / "bank", "validation").draw(name, 3, 96, 128)
    assert texture.shape == (96, 128, 3)


def dtd_archive(classes: list[str], path: Path, inside: str = "dtd/images") -> Archive:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 10, 10)).save(buffer, "JPEG")
    with tarfile.open(path, "w") as archive:
        for name in classes:
            member = tarfile.TarInfo(f"{inside}/{name}/{name}_0001.jpg")
            member.size = len(buffer.getvalue())
            archive.addfile(member, io.BytesIO(buffer.getvalue()))
    return Archive(path.name, f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")


@pytest.mark.parametrize(
    ("classes", "inside", "parts"),
    [
        (["banded"], "dtd/images", ["found 1 class", "need one of their own", "add texture"]),
        (["banded", "bumpy"], "dtd/labels", ["DTD archive holds no images/<category>/*.jpg"]),
    ],
)
def test_a_bank_that_cannot_be_divided_is_refused(
    classes: list[str],
    inside: str,
    parts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = dtd_archive(classes, tmp_path / "small.tar", inside)
    monkeypatch.setattr(bank_module, "DTD", [archive])
    monkeypatch.setenv("BLEMISH_MIRROR", str(tmp_path))
    (tmp_path / "bank").mkdir()
    with pytest.raises(UserError) as caught:
        build_bank(TextureParams(source="dtd"), tmp_path / "bank")
    for part in parts:
        assert part in str(caught.value)


def test_a_texture_covers_the_image_and_follows_from_its_seed(builtin: Path) -> None:
    bank = TextureBank(builtin, "train")
    for name, height, width in ((bank.names[0], 40, 100), (bank.names[-1], 400, 60)):
        first = bank.draw(name, 11, height, width)
        assert first.shape == (height, width, 3)
        assert first.dtype == np.uint8
        np.testing.assert_array_equal(
            first, TextureBank(builtin, "train").draw(name, 11, height, width)
        )
        assert any((first != bank.draw(name, seed, height, width)).any() for seed in range(3))


def test_augmentation_uses_all_nine_operations() -> None:
    """24 seeds of three operations each leave the texture unchanged about never."""
    texture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    results = {augment(texture, seed).tobytes() for seed in range(24)}
    assert len(results) == 24
    drawn = {int(o) for s in range(24) for o in np.random.default_rng([s, 7]).choice(9, 3, False)}
    assert drawn == set(range(9))


def test_a_missing_index_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"textures\.csv is missing: run `dvc repro textures`"):
        TextureBank(tmp_path, "train")
    (tmp_path / INDEX).write_text("file,class,purpose\na/1.png,a,train\n")
    with pytest.raises(UserError, match=r"no texture for validation.*validation_fraction"):
        TextureBank(tmp_path, "validation")
