"""Recipes: one row a synthetic draw. A recipe and its source image determine every pixel."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from blemish.errors import UserError
from blemish.params import BlendParams, SynthesisParams

SCHEMA = pa.schema(
    [
        ("image", pa.string()),  # the normal image, as in the unit's manifest
        ("draw", pa.int32()),  # which draw of that image
        ("purpose", pa.string()),  # train, validation, weak-<β>
        ("kind", pa.string()),  # a name in masks.MASKS
        ("texture", pa.string()),  # a file of the texture bank
        ("beta", pa.float64()),  # weight of the normal image under the mask
        ("seed", pa.int64()),  # of the mask and of the texture's augmentation, in [0, 2^32)
    ]
)


def draw_recipes(
    images: Sequence[str],
    draws: Sequence[int],
    purpose: str,
    kind: str,
    textures: Sequence[str],
    params: SynthesisParams,
    beta: float | None = None,
) -> pd.DataFrame:
    """A recipe for each (image, draw) pair, `SCHEMA`'s columns, in the order given.

    A row depends on its own image, draw and purpose and on the parameters, never on the other
    rows: adding an image leaves the draws of the others as they are. `beta` fixes β.
    """
    rows = []
    for image, draw in zip(images, draws, strict=True):
        random = _generator(params.seed, purpose, image, draw)
        texture = textures[int(random.integers(len(textures)))]
        weight = _draw_beta(random, params.blend) if beta is None else beta
        rows.append((image, draw, purpose, kind, texture, weight, int(random.integers(2**32))))
    return pd.DataFrame(rows, columns=SCHEMA.names)


def _generator(seed: int, purpose: str, image: str, draw: int) -> np.random.Generator:
    key = hashlib.sha256(f"{seed}:{purpose}:{image}:{draw}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "big")))


def _draw_beta(random: np.random.Generator, blend: BlendParams) -> float:
    return float(np.clip(random.normal(blend.mean, blend.std), blend.low, blend.high))


def write_recipes(recipes: pd.DataFrame, path: Path) -> None:
    """Write recipes; equal rows give equal bytes."""
    pq.write_table(
        pa.Table.from_pydict({n: recipes[n].tolist() for n in SCHEMA.names}, SCHEMA), path
    )


def read_recipes(path: Path) -> pd.DataFrame:
    """The rows of a recipes file. Raises UserError if it is missing or another file."""
    try:
        return pq.read_table(path).select(SCHEMA.names).to_pandas()
    except (pa.ArrowException, KeyError, OSError) as error:
        raise UserError(
            f"{path}: not a recipes file of Blemish ({error}): synthesize the unit again"
        ) from None
