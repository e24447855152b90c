"""elpv: electroluminescence images of solar cells, from the Python package `elpv-dataset`."""

import csv
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Item, Layout

# The published probability of a defect; the two in between are experts who were not sure.
DEFECTS = {0.0: "good", 1.0: "defective", 1 / 3: "doubtful", 2 / 3: "doubtful"}


def fetch(category: str, folder: Path) -> None:
    """Copy the images of one cell type and their labels out of the installed package."""
    spec = find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise UserError("elpv: the package elpv-dataset is not installed: run `make venv`")
    published = Path(spec.origin).parent / "data"
    (folder / "images").mkdir()
    kept = []
    for name, probability, kind in _labels(published / "labels.csv"):
        if kind == category:
            shutil.copyfile(published / name, folder / name)
            kept.append(f"{name},{probability}\n")
    (folder / "labels.csv").write_text("".join(kept), encoding="utf-8")


def _labels(path: Path) -> Iterator[tuple[str, str, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if len(words) != 3:
            raise UserError(f"{path}, line {number}: expected `image probability type`")
        yield words[0], words[1], words[2]


def layout(folder: Path, _category: str) -> Layout:
    """Probability 0 is good, 1 defective; 1/3 and 2/3 form the extra slice `doubtful`."""
    items = []
    with (folder / "labels.csv").open(encoding="utf-8") as stream:
        for name, probability in csv.reader(stream):
            defect = min(DEFECTS.items(), key=lambda known: abs(known[0] - float(probability)))[1]
            doubtful = defect == "doubtful"
            items.append(
                Item(
                    image=folder / name,
                    defect=defect,
                    # No published split: good images are divided by `prepare`, the rest is test.
                    split=None if defect == "good" else "test",
                    slice="doubtful" if doubtful else "",
                )
            )
    notes = (
        "elpv has no published split: good images are divided by a seeded rule.",
        "Cells with a defect probability of 1/3 or 2/3 are the slice 'doubtful', "
        "outside the headline numbers.",
    )
    return Layout(items, masks="none", extra_slices=("doubtful",), notes=notes)


DATA_SETS = (
    DataSet(
        name="elpv",
        title="Solar cells in electroluminescence (elpv)",
        categories=("mono", "poly"),
        licence="CC BY-NC-SA 4.0",
        citation="Deitsch et al., Segmentation of photovoltaic module cells in uncalibrated "
        "electroluminescence images, Machine Vision and Applications 32 (2021)",
        home="github.com/zae-bayern/elpv-dataset",
        package="elpv_dataset",
        fetch=fetch,
        layout=layout,
        # All that are not surely good, the doubtful ones among them; we divide the good ones.
        expected={"mono": {"test_defective": 313 + 173}, "poly": {"test_defective": 402 + 228}},
    ),
)
