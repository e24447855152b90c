"""The leak guard: copies are found however they were made, other parts of one product are not."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from blemish.core.params import DataParams
from blemish.datasets.dataset import DataSet, Item, Layout
from blemish.images.manifest import Manifest, read_manifest
from blemish.prepare.twins import ALIKE, find_twins, join_groups, signature
from blemish.prepare.unit import prepare

Picture = NDArray[np.uint8]


def part(seed: int, size: int = 400) -> Picture:
    """One of many alike parts: the same ring and light, its own texture and speckles."""
    random = np.random.default_rng(seed)
    ys, xs = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    radius = np.hypot(xs, ys)
    ring = ((radius > 0.4) & (radius < 0.8)) * 90.0
    coarse = Image.fromarray(random.normal(0, 1, (size // 8, size // 8)).astype(np.float32))
    grain = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))
    picture = 90 + ring + 25 * xs + 12 * grain + random.normal(0, 2, (size, size))
    return np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def jpeg(picture: Picture) -> Picture:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=60)
    return np.asarray(Image.open(buffer))


def half(picture: Picture) -> Picture:
    image = Image.fromarray(picture)
    return np.asarray(image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX))


def lighter(picture: Picture) -> Picture:
    return np.clip(picture * 0.9 + 20, 0, 255).astype(np.uint8)


def noisy(picture: Picture) -> Picture:
    noise = np.random.default_rng(5).normal(0, 4, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


COPIES: dict[str, Callable[[Picture], Picture]] = {
    "jpeg": jpeg, "half the size": half, "lighter": lighter, "noisy": noisy,
}  # fmt: skip


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_found_among_parts_that_look_alike(how: str) -> None:
    pictures = [part(seed) for seed in range(40)]
    pictures.append(COPIES[how](pictures[7]))
    twins = list(find_twins([signature(p) for p in pictures], [str(i) for i in range(41)]))
    assert [(one, other) for one, other, _ in twins] == [(7, 40)]
    assert ALIKE <= twins[0][2] <= 1.0001


def test_equal_pixels_are_exact_copies() -> None:
    pictures = [part(0), part(1), part(0), part(0)]
    twins = list(find_twins([signature(p) for p in pictures], ["a", "b", "a", "a"]))
    assert twins == [(0, 2, 1.0), (0, 3, 1.0)]
    assert list(find_twins([], [])) == []


def test_even_pictures_are_no_twins() -> None:
    flat = [np.full((64, 64, 3), level, np.uint8) for level in (0, 90, 180)]
    assert list(find_twins([signature(p) for p in flat], ["a", "b", "c"])) == []


PAIRS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=12)
GROUPS = st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=12, max_size=12)


@given(GROUPS, PAIRS)
@settings(max_examples=200)
def test_joined_groups_are_the_connected_components(
    groups: list[str | None], drawn: list[tuple[int, int]]
) -> None:
    pairs = [(one, other, 1.0) for one, other in drawn if one < other]
    joined = join_groups(groups, pairs)
    edges = [(one, other) for one, other, _ in pairs]
    edges += [(i, j) for i in range(12) for j in range(12) if groups[i] and groups[i] == groups[j]]
    reach = np.eye(12, dtype=bool)
    for one, other in edges:
        reach[one, other] = reach[other, one] = True
    for _ in range(4):
        reach = reach @ reach
    for one in range(12):
        assert (joined[one] is None) == (groups[one] is None and reach[one].sum() == 1)
        for other in range(12):
            if joined[one] is not None:
                assert (joined[one] == joined[other]) == reach[one, other]


def prepared(folder: Path, pictures: list[tuple[Picture, str, str | None]]) -> Manifest:
    """A unit of (picture, defect, published split)."""
    raw, target = folder / "raw", folder / "prepared"
    raw.mkdir()
    target.mkdir()
    items = []
    for number, (picture, defect, split) in enumerate(pictures):
        path = raw / f"{number:03d}.png"
        Image.fromarray(picture).save(path)
        items.append(Item(path, defect, split))
    found = DataSet(
        name="parts", title="", categories=("ring",), licence="", citation="", home="",
        fetch=lambda *_: None, layout=lambda *_: Layout(items, masks="none"),
    )  # fmt: skip
    prepare(found, "ring", raw, DataParams(), target)
    return read_manifest(target)


def test_our_own_split_keeps_twins_together(tmp_path: Path) -> None:
    """Ten pairs of good twins and one good twin of a defective part, no published split."""
    good = [part(seed) for seed in range(40)]
    pictures = [(p, "good", None) for p in good] + [(noisy(p), "good", None) for p in good[:10]]
    pictures += [(noisy(good[30]), "dent", "test"), (part(99), "dent", "test")]
    manifest = prepared(tmp_path, [(p, d, s) for p, d, s in pictures])
    rows = manifest.rows.assign(number=manifest.rows["image"].str[-7:-4].astype(int))
    split = rows.set_index("number")["split"]
    assert [split[i] for i in range(10)] == [split[40 + i] for i in range(10)]
    assert set(split) == {"train", "val", "test"}
    assert split[30] == "test"  # its twin is a published test image
    assert "22 of 52 images have a twin" in manifest.facts.notes[0]
    assert len(manifest.facts.notes) == 1
    lines = (manifest.root / "twins.csv").read_text().splitlines()
    assert lines[0] == "image,split,twin,twin_split,alike"
    assert len(lines) == 1 + 11


def test_a_published_split_that_leaks_is_reported_and_kept(tmp_path: Path) -> None:
    pictures = [(part(seed), "good", "train") for seed in range(20)]
    pictures += [(noisy(part(3)), "good", "test"), (part(5), "dent", "test")]
    manifest = prepared(tmp_path, [(p, d, s) for p, d, s in pictures])
    assert list(manifest.rows["split"]).count("test") == 2
    notes = " ".join(manifest.facts.notes)
    assert "The published split leaks: 2 test image(s) have a twin among the training" in notes
    assert "test/dent/021.png and train/good/005.png" in notes
    assert "1 pair(s) of exact copies are labelled good and defective" in notes


def test_without_twins_nothing_is_said(tmp_path: Path) -> None:
    manifest = prepared(tmp_path, [(part(seed), "good", None) for seed in range(12)])
    assert manifest.facts.notes == ()
    assert not (manifest.root / "twins.csv").exists()
    assert manifest.rows["digest"].nunique() == 12
