"""Recipes: one row a synthetic draw. A recipe and its source image determine every pixel."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from blemish.core.errors import UserError
from blemish.core.params import BlendParams, SynthesisParams
from blemish.synthesis.kind import Choices, Draft
from blemish.synthesis.kinds import kind as kind_of

SCHEMA = pa.schema(
    [
        ("image", pa.string()),  # the normal image, as in the unit's manifest
        ("draw", pa.int32()),  # which draw of that image
        ("purpose", pa.string()),  # train, validation, weak-<β>, visibility-<v>
        ("kind", pa.string()),  # a file of synthesis/kinds
        ("texture", pa.string()),  # a file of the bank, of the unit's normals (self) or crops
        ("beta", pa.float64()),  # weight of the normal image under the mask
        ("visibility", pa.float64()),  # of a defect measured in the image's own noise
        ("seed", pa.int64()),  # of the shape and of the texture's augmentation, in [0, 2^32)
    ]
)
NONE: Mapping[str, Sequence[str]] = MappingProxyType({})


def draw_recipes(
    images: Sequence[str],
    draws: Sequence[int],
    purpose: str,
    kind: str | Mapping[str, float],
    textures: Sequence[str],
    params: SynthesisParams,
    beta: float | None = None,
    visibility: float | None = None,
    sources: Mapping[str, Sequence[str]] = NONE,
) -> pd.DataFrame:
    """A recipe for each (image, draw) pair, `SCHEMA`'s columns, in the order given.

    kind: one, or the share of each. textures: the bank's files; sources: what the kinds "self"
    and "crops" take instead. `beta` and `visibility`, where given, fix these. A row depends on its
    own image, draw and purpose and on the parameters, never on the other rows: adding an image
    leaves the draws of the others as they are, and other shares leave the texture, β and seed of
    the rows that keep their kind. Raises UserError where a kind has nothing to be made of.
    """
    shares = _normalised({kind: 1.0} if isinstance(kind, str) else kind)
    for name in shares:
        picture = kind_of(name).picture
        if picture not in ("bank", None) and not sources.get(picture):
            raise UserError(f"`synthesis.kinds.{name}` is above 0, but there is no picture for it")
    choices = Choices(sources, params.visibility, visibility)
    rows = []
    for image, draw in zip(images, draws, strict=True):
        key = f"{params.seed}:{purpose}:{image}:{draw}"
        random = _generator(key)
        texture = textures[int(random.integers(len(textures)))]
        weight = _draw_beta(random, params.blend) if beta is None else beta
        seed = int(random.integers(2**32))
        name = next(iter(shares)) if len(shares) == 1 else _draw_kind(f"{key}:kind", shares)
        draft = Draft(name, texture, weight)
        made = kind_of(name).fill(draft, _generator(f"{key}:{name}"), choices)
        rows.append((image, draw, purpose, *astuple(made), seed))
    return pd.DataFrame(rows, columns=SCHEMA.names).astype({"beta": float, "visibility": float})


def _normalised(shares: Mapping[str, float]) -> dict[str, float]:
    """The shares above zero, of a sum of one, in the order of their names."""
    total = sum(shares.values())
    if not total > 0:
        raise UserError("`synthesis.kinds`: every share is 0: give at least one kind a share")
    return {name: shares[name] / total for name in sorted(shares) if shares[name] > 0}


def _draw_kind(key: str, shares: Mapping[str, float]) -> str:
    """Kinds in the order of their names, each its share of [0, 1)."""
    names, bounds = list(shares), np.cumsum(list(shares.values()))
    return names[
        min(int(np.searchsorted(bounds, _generator(key).random(), "right")), len(names) - 1)
    ]


def _generator(key: str) -> np.random.Generator:
    digest = hashlib.sha256(key.encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))


def _draw_beta(random: np.random.Generator, blend: BlendParams) -> float:
    return float(np.clip(random.normal(blend.mean, blend.std), blend.low, blend.high))


def write_recipes(recipes: pd.DataFrame, path: Path) -> None:
    """Write recipes; equal rows give equal bytes."""
    table = pa.Table.from_pandas(recipes[SCHEMA.names], SCHEMA, preserve_index=False)
    pq.write_table(table.replace_schema_metadata(None), path)


def read_recipes(path: Path) -> pd.DataFrame:
    """The rows of a recipes file. Raises UserError if it is missing or another file."""
    try:
        recipes: pd.DataFrame = pq.read_table(path).select(SCHEMA.names).to_pandas()
        return recipes
    except (pa.ArrowException, KeyError, OSError) as error:
        raise UserError(
            f"{path}: not a recipes file of Blemish ({error}): synthesize the unit again"
        ) from None
