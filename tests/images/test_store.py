"""The image store: the same pixels as without it, decoded once, bounded, and safe to delete."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from blemish.core.errors import UserError
from blemish.images.framing import Framing
from blemish.images.store import ImageStore, load_images

FRAMING = Framing.square(32, "squash")
ONE = 3 * 32 * 32  # bytes of an image


def rows(root: Path, count: int, first: int = 0) -> pd.DataFrame:
    names = [f"{number:03d}.png" for number in range(first, first + count)]
    for number, name in enumerate(names, first):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / name)
    return pd.DataFrame({"image": names, "digest": [f"digest {name}" for name in names]})


def test_stored_images_are_the_images(tmp_path: Path) -> None:
    table = rows(tmp_path, 40)
    store = ImageStore(tmp_path / "store", 1e9)
    plain = load_images([tmp_path / name for name in table["image"]], FRAMING, "reading")
    for _ in range(2):
        images = store.images(tmp_path, table, FRAMING, "reading")
        assert images.dtype == torch.uint8
        assert torch.equal(images, plain)
    assert len(list((tmp_path / "store").iterdir())) == 1


def test_images_are_decoded_once(tmp_path: Path) -> None:
    table = rows(tmp_path, 5)
    store = ImageStore(tmp_path / "store", 1e9)
    before = store.images(tmp_path, table, FRAMING, "reading").clone()
    for name in table["image"]:
        (tmp_path / name).unlink()
    assert torch.equal(store.images(tmp_path, table, FRAMING, "reading"), before)
    with pytest.raises(UserError, match=r"000\.png: the image is missing"):
        store.images(tmp_path, table, Framing.square(48, "squash"), "reading")  # another file


def test_other_pixels_and_other_framings_are_other_files(tmp_path: Path) -> None:
    table = rows(tmp_path, 5)
    store = ImageStore(tmp_path / "store", 1e9)
    first = store.images(tmp_path, table, FRAMING, "reading")
    crop = store.images(tmp_path, table, Framing.square(32, "crop"), "reading")
    assert not torch.equal(first, crop)
    changed = table.assign(digest=[*table["digest"][:4], "changed"])
    store.images(tmp_path, changed, FRAMING, "reading")
    reordered = table.iloc[::-1]
    assert torch.equal(store.images(tmp_path, reordered, FRAMING, "reading"), first.flip(0))
    assert len(list((tmp_path / "store").iterdir())) == 4


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    tables = [rows(tmp_path, 4, first) for first in (0, 4, 8)]
    store = ImageStore(tmp_path / "store", 10 * ONE)
    for age, table in zip((300, 200), tables, strict=False):
        store.images(tmp_path, table, FRAMING, "reading")
        newest = max((tmp_path / "store").iterdir(), key=lambda file: file.stat().st_mtime)
        os.utime(newest, (1e9 - age, 1e9 - age))
    kept = store.images(tmp_path, tables[0], FRAMING, "reading")  # now the younger of the two
    store.images(tmp_path, tables[2], FRAMING, "reading")
    files = list((tmp_path / "store").iterdir())
    assert sum(file.stat().st_size for file in files) == 8 * ONE
    (tmp_path / "000.png").unlink()
    assert torch.equal(store.images(tmp_path, tables[0], FRAMING, "reading"), kept)
    (tmp_path / "004.png").unlink()
    with pytest.raises(UserError, match=r"004\.png"):
        store.images(tmp_path, tables[1], FRAMING, "reading")


def test_what_exceeds_the_limit_or_has_no_digest_stays_in_memory(tmp_path: Path) -> None:
    table = rows(tmp_path, 4)
    plain = load_images([tmp_path / name for name in table["image"]], FRAMING, "reading")
    small, large = ImageStore(tmp_path / "store", 3 * ONE), ImageStore(tmp_path / "store", 1e9)
    assert torch.equal(small.images(tmp_path, table, FRAMING, "reading"), plain)
    made = table.assign(digest=None)
    assert torch.equal(large.images(tmp_path, made, FRAMING, "reading"), plain)
    assert large.images(tmp_path, table[:0], FRAMING, "reading").shape == (0, 3, 32, 32)
    assert not (tmp_path / "store").exists()


def test_a_damaged_image_leaves_no_file(tmp_path: Path) -> None:
    table = rows(tmp_path, 30)
    (tmp_path / "025.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=r"025\.png: not a whole image"):
        ImageStore(tmp_path / "store", 1e9).images(tmp_path, table, FRAMING, "reading")
    assert list((tmp_path / "store").iterdir()) == []


def test_a_file_that_was_cut_is_made_again(tmp_path: Path) -> None:
    table = rows(tmp_path, 4)
    store = ImageStore(tmp_path / "store", 1e9)
    before = store.images(tmp_path, table, FRAMING, "reading").clone()
    (file,) = (tmp_path / "store").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert torch.equal(store.images(tmp_path, table, FRAMING, "reading"), before)


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No disk can be filled here, so the reservation itself reports it, as the system would."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"No space left on device\): free 0\.0 GiB, or set `data"):
        ImageStore(tmp_path / "store", 1e9).images(tmp_path, rows(tmp_path, 4), FRAMING, "x")
    assert list((tmp_path / "store").iterdir()) == []
