"""The journal of decisions: what counts, what a kill leaves, many writers at once."""

import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.files import sha256
from blemish.images.feedback import (
    IMAGES,
    JOURNAL,
    Decision,
    Journal,
    confirmed,
    described,
    latest,
)

A, B = f"{'a' * 64}.png", f"{'b' * 64}.png"


def photo(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_the_last_row_counts_and_undone_takes_one_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "unit")
    assert journal.rows() == []
    for image, decision, defect in (
        (A, "good", ""), (B, "unsure", ""), (A, "defect", "pit"), (A, "unsure", ""),
        (A, "undone", ""), (B, "undone", ""), (B, "undone", ""),
    ):  # fmt: skip
        journal.add(Decision(image, decision, defect, source='a "strange"\nname,png'))
    found = latest(journal.rows())
    assert {name: (row.decision, row.defect) for name, row in found.items()} == {
        A: ("defect", "pit")
    }
    assert found[A].source == 'a "strange" name,png'
    journal.add(Decision(A, "undone"))
    assert latest(journal.rows())[A].decision == "good"


def test_a_torn_row_is_not_read_and_removed_by_the_next(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add(Decision(A, "good"))
    whole = (tmp_path / JOURNAL).read_bytes()
    (tmp_path / JOURNAL).write_bytes(whole + b"bbbb,de")
    assert [row.image for row in journal.rows()] == [A]
    journal.add(Decision(B, "unsure"))
    assert [row.image for row in journal.rows()] == [A, B]
    for length in range(len(whole)):  # killed at any byte of the first rows
        (tmp_path / JOURNAL).write_bytes(whole[:length])
        journal.add(Decision(B, "good"))
        assert [row.image for row in journal.rows()] == [B]


def _add_many(folder: Path, image: str) -> None:
    for _ in range(50):
        Journal(folder).add(Decision(image, "good"))


def test_writers_at_once_lose_no_row(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add_many, args=(tmp_path, image)) for image in (A, B)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    rows = [row.image for row in Journal(tmp_path).rows()]
    assert (rows.count(A), rows.count(B)) == (50, 50)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../../etc/passwd,good,,,,,", r"row 2: '../../etc/passwd' is not the name of an image"),
        (f"{A},fine,,,,,", r"row 2: the decision 'fine' is none of good, defect, unsure, undone"),
        (f"{A},defect,../up,,,,", r"row 2: a defect cannot be called '../up'"),
        (f"{A},defect,good,,,,", r"row 2: a defect cannot be called 'good'"),
        (f"{A},good", r"row 2: 2 values instead of 7"),
    ],
)
def test_a_row_by_hand_that_is_wrong_is_named(tmp_path: Path, line: str, message: str) -> None:
    Journal(tmp_path).add(Decision(A, "good"))
    head = (tmp_path / JOURNAL).read_text().splitlines()[0]
    (tmp_path / JOURNAL).write_text(f"{head}\n{line}\n")
    with pytest.raises(UserError, match=message):
        described(tmp_path)
    (tmp_path / JOURNAL).write_text(f"{line}\n{line}\n")
    with pytest.raises(UserError, match="its first line is not image,decision"):
        described(tmp_path)


def test_confirmed_images_are_listed_by_content(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "unit")
    assert described(tmp_path / "unit") == {}
    names = [journal.keep(photo(tmp_path / f"{seed}.PNG", seed)) for seed in range(3)]
    assert names == [f"{sha256(tmp_path / f'{seed}.PNG')}.png" for seed in range(3)]
    outline = tmp_path / "unit" / IMAGES / names[1].replace(".png", ".json")
    outline.write_text("{}")
    for name, decision in zip(names, ("good", "defect", "unsure"), strict=True):
        journal.add(Decision(name, decision, "pit" if decision == "defect" else ""))
    listed = described(tmp_path / "unit")
    assert listed == {names[0]: ["good", ""], names[1]: ["pit", sha256(outline)]}
    found = {one.file.name: (one.defect, one.outline)
             for one in confirmed(tmp_path / "unit", listed)}  # fmt: skip
    assert found == {names[0]: ("good", None), names[1]: ("pit", outline)}
    shutil.rmtree(tmp_path / "unit" / IMAGES)
    with pytest.raises(UserError, match="but the image is missing: restore it"):
        confirmed(tmp_path / "unit", listed)
