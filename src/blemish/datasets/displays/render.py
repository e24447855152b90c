"""Render a category of displays as a data set in MVTec's layout."""

import csv
import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import View, draw_shot
from .canvas import Canvas
from .defects import Defect, draw_defect
from .display import Display, backlight, content, display_of, emit
from .options import LcdsimOptions, defect_counts

TableRow = dict[str, str | int]

COLUMNS = ("image", "defect", "contrast", "unit", "polarity", "size_px", "area_px")
MAX_WORKERS = 4  # a picture of 1000² needs about 150 MB while it is made
# Huffman coding alone: the sensor's noise leaves a dictionary nothing to find.
PNG = (
    cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One picture to render: its place in the set decides its random numbers."""

    split: str  # "train" or "test"
    defect: str  # "good" or a type
    index: int

    @property
    def image(self) -> str:
        return f"{self.split}/{self.defect}/{self.index:03d}.png"

    @property
    def mask(self) -> str:
        return f"ground_truth/{self.defect}/{self.index:03d}_mask.png"

    def generators(self, seed: int, category: str) -> list[np.random.Generator]:
        """Independent random numbers for the panel, the placement, the defect and the noise."""
        name = zlib.crc32(f"{category}/{self.split}/{self.defect}".encode())
        return np.random.default_rng((seed, name, self.index)).spawn(4)


def render_set(
    folder: Path,
    category: str,
    options: LcdsimOptions,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Render one category into an existing, empty folder.

    Writes `train/good`, `test/good`, `test/<type>` (8-bit RGB PNG, size²), `ground_truth/<type>`
    (8-bit PNG, 0/255) and `defects.csv`: one row a defective image with its contrast in `unit`
    ("weber", peak ΔL/L; "jnd", just-noticeable differences of SEMU), polarity, `size_px`
    (diameter; stroke width of a line or scratch; body width) and `area_px` of the mask.
    An image depends on seed, category, split, type and its number alone, so other counts or
    another number of workers change no image. progress is called with (done, all).
    UserError: unknown category.
    """
    display = display_of(category)
    jobs = plan(options)
    for job in jobs:
        (folder / job.image).parent.mkdir(parents=True, exist_ok=True)
        if job.defect != "good":
            (folder / job.mask).parent.mkdir(parents=True, exist_ok=True)
    rows: dict[str, TableRow] = {}
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_WORKERS)) as pool:
        tasks = [pool.submit(render_job, folder, category, display, job, options) for job in jobs]
        try:
            for done, task in enumerate(as_completed(tasks), start=1):
                rows |= task.result()
                if progress is not None:
                    progress(done, len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    write_rows(folder / "defects.csv", [rows[job.image] for job in jobs if job.image in rows])


def plan(options: LcdsimOptions) -> list[Job]:
    """Every picture of a set, in the order of the files."""
    counts = {"good": options.test_good, **defect_counts(options.test_defective)}
    train = [Job("train", "good", index) for index in range(options.train)]
    return train + [Job("test", kind, index) for kind, n in counts.items() for index in range(n)]


def render_job(
    folder: Path, category: str, display: Display, job: Job, options: LcdsimOptions
) -> dict[str, TableRow]:
    """Render one picture and its mask; return its row of defects.csv by image, if defective."""
    generators = job.generators(options.seed, category)
    picture, defect = render_picture(display, job.defect, options, generators)
    write_png(folder / job.image, np.ascontiguousarray(picture[:, :, ::-1]))
    if defect is None:
        return {}
    write_png(folder / job.mask, defect.mask)
    return {job.image: describe(job.image, defect)}


def render_picture(
    display: Display, kind: str, options: LcdsimOptions, generators: list[np.random.Generator]
) -> tuple[NDArray[np.uint8], Defect | None]:
    """One picture (size, size, 3) RGB and its defect; `kind` "good" has none."""
    panel, placement, defects, noise = generators
    side = display.panel_side(options.size)
    pattern = content(display, side)
    view = View(display, draw_shot(placement), options.size, side, float(pattern.max()))
    raster = emit(pattern, backlight(display, side, panel), panel)
    defect = None
    if kind != "good":
        lit = pattern > 0.2 * pattern.max()
        channels = tuple(int(channel) for channel in np.flatnonzero(lit.any(axis=(0, 1))))
        canvas = Canvas(view, lit.any(axis=2), channels)
        defect = draw_defect(kind, canvas, defects, options.contrast)
        defect.apply(raster)
    return view.picture(raster, noise), defect


def describe(image: str, defect: Defect) -> TableRow:
    """A row of defects.csv."""
    in_differences = defect.kind == "mura"
    contrast = defect.differences if in_differences else abs(defect.weber)
    return {
        "image": image,
        "defect": defect.kind,
        "contrast": f"{contrast:.4f}",
        "unit": "jnd" if in_differences else "weber",
        "polarity": defect.polarity,
        "size_px": f"{defect.shape.size:.1f}",
        "area_px": int(np.count_nonzero(defect.mask)),
    }


def write_rows(path: Path, rows: list[TableRow]) -> None:
    """Write defects.csv."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a PNG; OSError where the disk refuses it (OpenCV alone would only return False)."""
    path.write_bytes(cv2.imencode(".png", pixels, PNG)[1].tobytes())
