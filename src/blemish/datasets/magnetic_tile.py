"""magnetic-tile: 1,344 photographs of magnetic tiles with pixel masks (Huang et al.)."""

from pathlib import Path

from blemish.core.errors import UserError
from blemish.datasets.dataset import DataSet, Item, Layout
from blemish.datasets.layouts.archive_tree import find_folder, holding, known_entry, link_tree
from blemish.download.archive import Archive
from blemish.download.fetch import unpacked

COMMIT = "cc4eb530b57b9cb7225bf76023873043ffd50655"
REPOSITORY = "abin24/Magnetic-tile-defect-datasets."
ARCHIVE = Archive(
    file="magnetic-tile.zip",
    checksum="sha256:ff518013913ab46c9a5b88662bddc97581b1d660ee2ff6c84b544f52ae39e93b",
    content="ff2eea089b9c40d4312b74312b53380743f7d591aaa31e9518e70b6d865443fd",
    urls=(f"https://codeload.github.com/{REPOSITORY}/zip/{COMMIT}",),
    by_hand=f"github.com/{REPOSITORY}, commit {COMMIT[:8]}, Download ZIP",
)
CLASSES = ("Blowhole", "Break", "Crack", "Fray", "Free", "Uneven")
MASK_THRESHOLD = 127  # masks hold 0…255 from resampling; positive means above 127
SAME_TILE_GAP = 200  # consecutive frame numbers farther apart than this show different tiles


def fetch(_category: str, folder: Path) -> None:
    """Link `MT_<Class>/Imgs/*` of the repository's archive."""
    wanted = [f"MT_{name}/Imgs" for name in CLASSES]
    expected = f"the folders {', '.join(wanted)} somewhere in it"
    root = find_folder(unpacked([ARCHIVE]), holding(*wanted), expected)
    for name in wanted:
        source = known_entry(root, name)
        link_tree(source, folder / name, lambda file: file.suffix in {".jpg", ".png"})


def layout(folder: Path, _category: str) -> Layout:
    """Every jpg has a png mask of its stem; frames of one tile form a group."""
    photographs: list[tuple[Path, str, int]] = []  # with its type and frame number
    for name in CLASSES:
        images = sorted((folder / f"MT_{name}" / "Imgs").glob("*.jpg"))
        if not images:
            raise UserError(f"{folder}/MT_{name}/Imgs: no images: run `dvc repro -f fetch` again")
        defect = "good" if name == "Free" else name.lower()
        photographs += [(image, defect, _frame(image)) for image in images]
    groups = _tiles([frame for _, _, frame in photographs])
    items = [
        Item(
            image=image,
            defect=defect,
            split=None if defect == "good" else "test",
            mask=None if defect == "good" else _mask(image),
            mask_threshold=MASK_THRESHOLD,
            group=groups[frame],
        )
        for image, defect, frame in photographs
    ]
    notes = (
        "magnetic-tile has no published split: good images are divided by tile, so that the "
        "exposures of one tile never straddle train, validation and test.",
        "Four 'uneven' images have empty masks: they count as defective images without "
        "defective pixels.",
    )
    return Layout(items, masks="pixel", notes=notes)


def _frame(image: Path) -> int:
    """`exp3_num_10812` → 10812."""
    number = image.stem.rpartition("_")[2]
    if not number.isdigit():
        raise UserError(f"{image}: expected a name like exp1_num_123.jpg")
    return int(number)


def _mask(image: Path) -> Path:
    mask = image.with_suffix(".png")
    if not mask.exists():
        raise UserError(f"{image}: its mask {mask.name} is missing: fetch the archive again")
    return mask


def _tiles(frames: list[int]) -> dict[int, str]:
    """Frame number → tile: about 224 tiles were photographed at six exposures each."""
    groups: dict[int, str] = {}
    tile, previous = 0, None
    for frame in sorted(set(frames)):
        if previous is not None and frame - previous > SAME_TILE_GAP:
            tile += 1
        groups[frame] = f"tile-{tile:03d}"
        previous = frame
    return groups


DATA_SETS = (
    DataSet(
        name="magnetic-tile",
        title="Magnetic tile defects",
        categories=("tile",),
        licence="none stated; 'welcome to use', cite the paper",
        citation="Huang et al., Surface defect saliency of magnetic tile, The Visual Computer "
        "(2018)",
        home=f"github.com/{REPOSITORY}",
        fetch=fetch,
        layout=layout,
        archives=((ARCHIVE,),),
        # The 952 good images are divided by us.
        expected={"tile": {"test_defective": 392}},
    ),
)
