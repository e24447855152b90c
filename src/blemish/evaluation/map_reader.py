"""Reading one anomaly map that any tool may have written. The files are hostile input."""

import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from blemish.core.errors import UserError

SUFFIXES = (".npy", ".npz", ".tiff", ".tif")
LARGEST = 1 << 28  # pixels
# What numpy, zipfile and tifffile raise on damaged files.
_DAMAGED = (
    *(ValueError, OSError, EOFError, KeyError, IndexError, TypeError, AttributeError),
    *(NotImplementedError, MemoryError, RuntimeError, SyntaxError, struct.error, zlib.error),
    *(zipfile.BadZipFile, tokenize.TokenError),
)


def read_map(path: Path) -> NDArray[np.float32]:
    """The anomaly map (H, W) in a file; further axes of length 1 are dropped.

    An .npz file must hold one array.

    Raises:
        UserError: the file is missing, damaged, holds pickled objects, or is no map of real, finite
            numbers.
    """
    try:
        values = _read_tiff(path) if path.suffix.lower().startswith(".tif") else _read_numpy(path)
    except FileNotFoundError:
        raise UserError(f"{path}: the anomaly map is missing") from None
    except _DAMAGED as error:
        if "allow_pickle" in str(error) or "Python objects" in str(error):
            raise UserError(
                f"{path}: holds pickled objects, which are never loaded: save it as numbers"
            ) from None
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{path}: not a whole anomaly map ({reason}); write it again") from None
    if values.dtype.kind not in "fiub":
        raise UserError(f"{path}: holds {values.dtype} values: an anomaly map holds real numbers")
    if values.size == 0 or sum(length > 1 for length in values.shape) > 2 or values.ndim < 2:
        raise UserError(f"{path}: of shape {values.shape}: an anomaly map is (height, width)")
    with np.errstate(over="ignore"):
        plane = np.ascontiguousarray(_plane(values), np.float32)
    if not np.isfinite([plane.min(), plane.max()]).all():
        raise UserError(f"{path}: holds NaN, infinity or numbers beyond float32")
    return plane


def _plane(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Drop axes of length 1 while there are more than two, the first ones first."""
    while values.ndim > 2:
        values = values.squeeze(axis=values.shape.index(1))
    return values


def _read_numpy(path: Path) -> NDArray[np.generic]:
    if path.suffix.lower() == ".npz":
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise ValueError(f"{len(names)} arrays instead of one")
            if archive.getinfo(names[0]).file_size > 8 * LARGEST:
                raise ValueError("too large")
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays[arrays.files[0]])
    # A map of the file: a header that claims more than the file holds allocates nothing.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _read_tiff(path: Path) -> NDArray[np.generic]:
    with tifffile.TiffFile(path) as file:
        if len(file.pages) != 1:
            raise ValueError(f"{len(file.pages)} pages instead of one")
        page = file.pages[0]
        if int(np.prod(page.shape, dtype=np.float64)) > LARGEST:
            raise ValueError("too large")
        return np.asarray(page.asarray())
