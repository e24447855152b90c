"""Every adapter on a miniature of its publisher's archive: fetched, read and prepared."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.core.params import DataParams
from blemish.datasets.dataset import Layout, data_set, split_unit
from blemish.download.archive import Archive
from blemish.images.manifest import Manifest, read_manifest
from blemish.prepare.unit import prepare
from tests.miniatures import MINIATURES, Miniature, layouts
from tests.miniatures.paint import pack

CASES = [pytest.param(one, id=f"{one.unit}-{n}") for n, one in enumerate(MINIATURES)]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace; the published checksums, which no miniature has, are not asked for."""
    monkeypatch.setenv("BLEMISH_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setattr("blemish.download.fetch.fault", lambda *_: "")
    (tmp_path / "work").mkdir()
    (tmp_path / "mirror").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def read(one: Miniature) -> Layout:
    name, category = split_unit(one.unit)
    published = data_set(name, {})
    raw = Path("raw")
    raw.mkdir()
    published.fetch(category, raw)
    return published.layout(raw, category)


def prepared(one: Miniature) -> Manifest:
    name, category = split_unit(one.unit)
    Path("prepared").mkdir()
    prepare(data_set(name, {}), category, Path("raw"), DataParams(), Path("prepared"))
    return read_manifest(Path("prepared"))


def check(one: Miniature, layout: Layout) -> None:
    assert Counter((str(item.split), item.defect) for item in layout.items) == one.counts
    assert layout.masks == one.masks
    assert all(item.image.is_file() for item in layout.items)
    if one.masks != "none":
        assert all(item.has_mask for item in layout.items if item.label)


@pytest.mark.parametrize("one", CASES)
def test_an_archive_becomes_the_published_parts(one: Miniature, workspace: Path) -> None:
    for name, folder in one.build(workspace / "built").items():
        pack(folder, workspace / "mirror" / name)
    layout = read(one)
    check(one, layout)
    manifest = prepared(one)
    rows = manifest.rows
    expected = Counter({defect: 0 for _, defect in one.counts})
    for (_, defect), count in one.counts.items():
        expected[defect] += count
    assert dict(rows["defect"].value_counts()) == expected
    assert rows.loc[rows["label"] == 1, "split"].eq("test").all()
    if one.masks != "none":
        for row in rows[rows["label"] == 1].itertuples():
            pixels = np.asarray(Image.open(manifest.root / row.mask))
            assert set(np.unique(pixels)) == {0, 255}, row.mask
            assert pixels.shape == (row.height, row.width)


@pytest.mark.parametrize("one", CASES)
def test_a_folder_unpacked_by_hand_works(one: Miniature, workspace: Path) -> None:
    """A renamed top folder, doubled, and suffixes in capitals."""
    for name, folder in one.build(workspace / "built").items():
        top = Path("data/downloads") / Archive(name).stem
        place = top / "my download" / "copy"
        shutil.copytree(folder, place)
        for image in [*place.rglob("*.png"), *place.rglob("*.jpg")]:
            # VisA's table names its files, the magnetic tiles' commit fixes them
            if image.suffix.isupper() or one.unit.startswith(("visa", "magnetic-tile/")):
                continue
            image.rename(image.with_suffix(image.suffix.upper()))
    check(one, read(one))


@pytest.mark.parametrize("one", CASES[:3])
def test_raw_files_share_their_bytes_with_the_unpacked_archive(
    one: Miniature, workspace: Path
) -> None:
    for name, folder in one.build(workspace / "built").items():
        pack(folder, workspace / "mirror" / name)
    layout = read(one)
    assert all(item.image.stat().st_nlink > 1 for item in layout.items)


def test_a_tree_outside_the_workspace_is_copied(workspace: Path) -> None:
    """DVC makes the bytes that it keeps read-only; those in a mirror are not ours."""
    outside = workspace / "elsewhere"
    layouts.category(outside / "tubes")
    Path("data/downloads").mkdir(parents=True)
    Path("data/downloads/MPDD").symlink_to(outside)
    (case,) = [one for one in MINIATURES if one.unit == "mpdd/tubes"]
    layout = read(case)
    check(case, layout)
    assert all(item.image.stat().st_nlink == 1 for item in layout.items)
