"""dagm: ten generated textures with weakly labelled defects (DAGM competition, 2007)."""

from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import (
    DataSet,
    Item,
    Layout,
    for_category,
    images_in,
    published_counts,
)
from blemish.datasets.layouts.archive_tree import (
    entry,
    find_folder,
    holding,
    known_entry,
    link_images,
)
from blemish.download.archive import hand_placed
from blemish.download.fetch import unpacked

HOME = "zenodo.org/records/12750201"
ORIGIN = f"{HOME}, or Kaggle's copy DAGM_KaggleUpload"
ARCHIVES = (
    hand_placed("{category}", ORIGIN)
    + hand_placed("DAGM2007", ORIGIN)
    + hand_placed("DAGM_KaggleUpload", ORIGIN),
)
# training and test part as published, each with its folder of labels
PARTS = {"train": "Train", "test": "Test"}
# Defective images of the published parts; of each class there are 1,150 images (2,300 from the
# seventh on), a half of them in each part.
DEFECTIVE = {1: 79, 2: 66, 3: 66, 4: 82, 5: 70, 6: 83, 7: 150, 8: 150, 9: 150, 10: 150}

ELLIPSES = (
    "Labels are ellipses around the defects: pixel metrics reward filling the ellipse, not the "
    "defect."
)


def _counts(number: int, defective: int) -> tuple[int, int, int]:
    """Good training, good test and defective test images of a class."""
    part, tested = (575, 150 - defective) if number <= 6 else (1150, 150)
    return part - defective, part - tested, tested


COUNTS = published_counts({f"Class{n}": _counts(n, count) for n, count in DEFECTIVE.items()})


def fetch(category: str, folder: Path) -> None:
    """Link `Train/`, `Test/` and their `Label/` of a class."""

    def fits(place: Path) -> bool:
        return place.name.casefold() == category.casefold() and holding(*PARTS.values())(place)

    expected = f"{category}/Train and {category}/Test somewhere in it"
    source = find_folder(unpacked(for_category(ARCHIVES[0], category)), fits, expected)
    for part in PARTS.values():
        link_images(known_entry(source, part), folder / part)
        link_images(entry(source, f"{part}/Label"), folder / part / "Label")


def layout(folder: Path, _category: str) -> Layout:
    """`NNNN.PNG` is defective where there is a `Label/NNNN_label.PNG`."""
    items: list[Item] = []
    unused = 0
    for split, part in PARTS.items():
        labels = {label.stem.casefold(): label for label in images_in(folder / part / "Label")}
        if not labels or not images_in(folder / part):
            raise UserError(
                f"{folder}/{part}: expected 0001.PNG … and Label/NNNN_label.PNG of the defective "
                "ones: fetch the unit again"
            )
        for image in images_in(folder / part):
            label = labels.get(f"{image.stem}_label".casefold())
            if label is None:
                items.append(Item(image, "good", split))
            elif split == "train":
                unused += 1
            else:
                items.append(Item(image, "defect", split, label))
    note = (
        f"The published training part is for supervised methods: its {unused} defective images are "
        "not used."
    )
    return Layout(items, masks="polygons", notes=(note, ELLIPSES))


DATA_SETS = (
    DataSet(
        name="dagm",
        title="DAGM 2007, ten textures",
        categories=tuple(COUNTS),
        licence="CDLA-Sharing 1.0",
        citation="Wieler and Hahn, Weakly supervised learning for industrial optical inspection, "
        "DAGM symposium (2007)",
        home=HOME,
        fetch=fetch,
        layout=layout,
        archives=ARCHIVES,
        expected=COUNTS,
    ),
)
