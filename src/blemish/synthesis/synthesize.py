"""What the stage `synthesize` makes of a unit: recipes, rendered sets, a contact sheet."""

import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from blemish.core.errors import UserError
from blemish.core.files import link
from blemish.core.params import SynthesisParams
from blemish.core.progress import progress
from blemish.datasets.dataset import images_in
from blemish.images.manifest import Manifest, read_manifest, write_manifest
from blemish.images.masks import read_mask
from blemish.images.reading import read_image
from blemish.images.zones import read_zone_map
from blemish.synthesis.crops import prepare_crops
from blemish.synthesis.preview import Sample, write_preview
from blemish.synthesis.recipes import draw_recipes, write_recipes
from blemish.synthesis.render import render
from blemish.synthesis.textures import TextureBank

PREVIEW_EACH = 6  # training samples; the sheet also shows 8 for validation, 2 of each weak set
VALIDATION_KINDS = {"shapes": 1.0, "strokes": 1.0, "dots": 1.0, "stains": 1.0}


def synthesize(
    prepared: Path, textures: Path, crops: Path, params: SynthesisParams, folder: Path
) -> None:
    """Fill `folder` with `recipes.parquet` (training), `validation/`, `weak-*/` and
    `visibility-*/` with their `manifest.parquet`, `crops/` where they are used, `preview.png`.

    Held-out images use shapes and textures that training never sees, whatever kinds it is given,
    on validation normals. `weak-β`: β is the weight of the normal image, so a large β is a weak
    defect. `visibility-v`: an even change of brightness of 4v standard deviations of local noise.
    """
    manifest = read_manifest(prepared)
    sources = _sources(manifest, crops, params, folder / "crops")
    known = TextureBank(textures, "train", prepared, folder / "crops")
    unseen = TextureBank(textures, "validation")
    training = _training_recipes(manifest, known, params, sources)
    write_recipes(training, folder / "recipes.parquet")
    held_out = held_out_recipes(manifest, unseen, params)
    write_recipes(held_out, folder / "held_out.parquet")
    rows = _render_all(held_out, manifest, unseen, params, folder)
    _add_zones(rows, manifest, folder)
    slices = tuple(name for name in dict.fromkeys(held_out["purpose"]) if name != "validation")
    facts = replace(manifest.facts, masks="pixel", extra_slices=slices, notes=(), levels=None)
    write_manifest(rows, facts, folder / "manifest.parquet")
    _write_preview(training, held_out, manifest, (known, unseen), params, folder / "preview.png")


def _sources(
    manifest: Manifest, crops: Path, params: SynthesisParams, folder: Path
) -> dict[str, Sequence[str]]:
    """What the kinds `self` and `crops` are made of."""
    normals = manifest.of("train", 0)
    sources: dict[str, Sequence[str]] = {"self": normals["image"].tolist()}
    if params.kinds.share("crops"):
        unit = manifest.facts.unit
        files = list(images_in(crops / unit)) or list(images_in(crops))
        if not files:
            raise UserError(
                f"`synthesis.kinds.crops` is above 0, but {crops}/{unit} and {crops} hold no "
                "image: put crops of real defects there, on a transparent or even background"
            )
        sides = normals[["width", "height"]].min(axis=1)
        sources["crops"] = prepare_crops(files, float(sides.median()), folder)
    return sources


def _training_recipes(
    manifest: Manifest,
    textures: TextureBank,
    params: SynthesisParams,
    sources: dict[str, Sequence[str]],
) -> pd.DataFrame:
    normals = manifest.of("train", 0)["image"].tolist()
    images = [image for image in normals for _ in range(params.draws)]
    draws = list(range(params.draws)) * len(normals)
    shares = params.kinds.model_dump()
    return draw_recipes(images, draws, "train", shares, textures.names, params, sources=sources)


def held_out_recipes(
    manifest: Manifest, textures: TextureBank, params: SynthesisParams
) -> pd.DataFrame:
    """Recipes of the validation set and of one weak-defect set for each β and visibility."""
    normals = manifest.of("val", 0)["image"].tolist()

    def recipes(
        purpose: str, count: int, kind: str | dict[str, float] = "shapes", **fixed: Any
    ) -> pd.DataFrame:
        # A different image first in each set, so that few images still show a variety.
        start = zlib.crc32(purpose.encode())
        images = [normals[(start + number) % len(normals)] for number in range(count)]
        draws = [number // len(normals) for number in range(count)]
        return draw_recipes(images, draws, purpose, kind, textures.names, params, **fixed)

    count = params.weak_images
    sets = [recipes("validation", params.validation_images, VALIDATION_KINDS)]
    sets += [recipes(f"weak-{beta:g}", count, beta=beta) for beta in params.weak]
    sets += [
        recipes(f"visibility-{value:g}", count, "shades", visibility=value)
        for value in params.weak_visibility
    ]
    return pd.concat([part for part in sets if len(part)], ignore_index=True)


def _render_all(
    recipes: pd.DataFrame,
    manifest: Manifest,
    textures: TextureBank,
    params: SynthesisParams,
    folder: Path,
) -> list[dict[str, Any]]:
    """Render each recipe at its image's own size; the manifest rows of what was written."""

    def write(number: int) -> dict[str, Any]:
        sample = _sample(recipes.iloc[[number]], manifest, textures, params)
        return _write_sample(recipes.iloc[number], number, sample, folder)

    title = f"rendering {manifest.facts.unit}"
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = pool.map(write, range(len(recipes)))
        return list(progress(rows, title, len(recipes), "image"))


def _write_sample(recipe: pd.Series, number: int, sample: Sample, folder: Path) -> dict[str, Any]:
    """Write a rendered image and its mask; the manifest's row."""
    purpose = recipe["purpose"]
    image = Path(purpose) / "images" / f"{number:04d}.png"
    mask = Path(purpose) / "masks" / f"{number:04d}.png"
    for path, pixels in ((image, sample.synthetic), (mask, sample.mask.astype(np.uint8) * 255)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / path, compress_level=1)
    return {
        "image": image.as_posix(),
        "mask": mask.as_posix(),
        "split": "validation" if purpose == "validation" else "weak",
        "label": 1,
        "defect": recipe["kind"],
        "slice": "" if purpose == "validation" else purpose,
        "group": recipe["image"],
        "width": sample.synthetic.shape[1],
        "height": sample.synthetic.shape[0],
    }


def _sample(
    recipe: pd.DataFrame, manifest: Manifest, textures: TextureBank, params: SynthesisParams
) -> Sample:
    """Render one recipe at its image's own size, as 8-bit pictures."""
    row = recipe.iloc[0]
    normal = read_image(manifest.root / row["image"])
    # The cell scales with the image, so that "not empty" means the same at every size.
    cell = max(1, round(params.cell * min(normal.shape[:2]) / params.size))
    tensor = torch.from_numpy(normal.copy()).permute(2, 0, 1)[None]
    try:
        image, mask = render(recipe, tensor, textures, cell, _foreground(manifest, row["image"]))
    except UserError as error:
        raise UserError(f"{manifest.root / row['image']}: {error}") from None
    synthetic = (image[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    return Sample(normal, synthetic, mask[0].numpy(), row["purpose"], _caption(row))


def _foreground(manifest: Manifest, image: str) -> torch.Tensor | None:
    """Where defects may lie, (1, H, W) bool: on the part, outside the zone `ignore`. None is
    everywhere, where the image has neither."""
    row = manifest.rows.set_index("image").loc[image]
    masks = []
    if isinstance(row["foreground"], str):
        masks.append(read_mask(manifest.root / row["foreground"]))
    if isinstance(row["zones"], str):
        size = (int(str(row["height"])), int(str(row["width"])))
        zones = read_zone_map(manifest.root / row["zones"], manifest.facts.zones, size)
        masks.append(zones.judged())
    return torch.from_numpy(np.logical_and.reduce(masks))[None] if masks else None


def _add_zones(rows: Sequence[dict[str, Any]], manifest: Manifest, folder: Path) -> None:
    """A rendered image has the zones of the normal that it is drawn on: the map is linked below
    `folder`, under the same path, and named in the row."""
    maps = manifest.rows.set_index("image")["zones"]
    for row in rows:
        zones = maps[row["group"]]
        if isinstance(zones, str):
            row["zones"] = zones
            if not (folder / zones).exists():
                link(manifest.root / zones, folder / zones)


def _caption(row: pd.Series) -> str:
    parts = [str(row["kind"])]
    if pd.notna(row["beta"]):
        parts.append(f"beta {row['beta']:.2f}")
    if pd.notna(row["visibility"]):
        parts.append(f"visibility {row['visibility']:.2f}")
    if isinstance(row["texture"], str):
        parts.append(row["texture"])
    return ", ".join(parts)


def _write_preview(
    training: pd.DataFrame,
    held_out: pd.DataFrame,
    manifest: Manifest,
    banks: tuple[TextureBank, TextureBank],
    params: SynthesisParams,
    path: Path,
) -> None:
    """A few samples of each purpose: of training two of each kind at least, over the images."""
    chosen = [(_of_each_kind(training), banks[0])]
    for purpose, rows in held_out.groupby("purpose", sort=False):
        chosen.append((rows.head(8 if purpose == "validation" else 2), banks[1]))
    samples = [
        _sample(rows.iloc[[number]], manifest, bank, params)
        for rows, bank in chosen
        for number in range(len(rows))
    ]
    write_preview(samples, path)


def _of_each_kind(recipes: pd.DataFrame) -> pd.DataFrame:
    drawn = recipes[recipes["kind"] != "clean"]
    groups = drawn.groupby("kind", sort=True)
    each = max(2, -(-PREVIEW_EACH // max(1, groups.ngroups)))
    spread = [rows.iloc[np.linspace(0, len(rows) - 1, each, dtype=int)] for _, rows in groups]
    return pd.concat(spread) if spread else drawn
