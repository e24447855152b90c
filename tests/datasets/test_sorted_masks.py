"""Masks that are not named like their images are paired as their authors do: in sorted order."""

from pathlib import Path

import pytest

from blemish.core.errors import UserError
from blemish.datasets.dataset import Layout
from tests.miniatures.spoiled import fetched


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("BLEMISH_MIRROR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(unit: str, change: object) -> Layout:
    return fetched(unit, change, Path.cwd())[1]  # type: ignore[arg-type]


def renamed(place: Path) -> None:
    """Masks numbered from another start than their images."""
    for number, found in enumerate(sorted(place.rglob("ground_truth/scratch/*.png"))):
        found.rename(found.with_name(f"m{number:03d}_gt.png"))


@pytest.mark.parametrize("unit", ["wfdd/grid_cloth", "anolcd/Type-3", "mad-man/screw"])
def test_masks_of_other_names_are_paired_in_sorted_order(unit: str) -> None:
    layout = read(unit, renamed)
    defective = sorted((item for item in layout.items if item.label), key=lambda one: one.image)
    masks = [item.mask.name for item in defective if item.mask]
    assert len(masks) == len(defective)
    assert masks == sorted(masks) or unit.startswith("mad")
    assert any("paired in sorted order" in note for note in layout.notes)


@pytest.mark.parametrize("unit", ["wfdd/grid_cloth", "mad-man/screw"])
def test_masks_that_are_fewer_are_not_paired(unit: str) -> None:
    def fewer(place: Path) -> None:
        renamed(place)
        for folder in place.rglob("ground_truth/scratch"):
            min(folder.iterdir()).unlink()

    with pytest.raises(UserError, match=r"\.png: no mask in .*ground_truth/scratch"):
        read(unit, fewer)


def test_mvtec_s_own_masks_are_paired_by_name_alone() -> None:
    with pytest.raises(UserError, match=r"000\.png: no mask in"):
        read("mvtec/leather", renamed)
