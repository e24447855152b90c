"""What the stage `synthesize` makes of a unit: recipes, rendered sets, a contact sheet."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from blemish.data.images import read_image
from blemish.data.manifest import Facts, Manifest, read_manifest, write_manifest
from blemish.params import SynthesisParams
from blemish.progress import progress
from blemish.synthesis.preview import Sample, write_preview
from blemish.synthesis.recipes import draw_recipes, write_recipes
from blemish.synthesis.render import render
from blemish.synthesis.textures import TextureBank

PREVIEW_EACH = 6  # training samples; the sheet also shows 2 for validation and 1 of each β


def synthesize(prepared: Path, textures: Path, params: SynthesisParams, folder: Path) -> None:
    """Fill `folder` with `recipes.parquet` (training), `validation/` and `weak/` with their
    `manifest.parquet`, and `preview.png`.

    Validation and weak-defect images use masks and textures that training never sees, on
    validation normals; β is the weight of the normal image, so a large β is a weak defect.
    """
    manifest = read_manifest(prepared)
    known, unseen = TextureBank(textures, "train"), TextureBank(textures, "validation")
    normals = manifest.of("train", 0)["image"].tolist()
    images = [image for image in normals for _ in range(params.draws)]
    draws = list(range(params.draws)) * len(normals)
    training = draw_recipes(images, draws, "train", "perlin", known.names, params)
    write_recipes(training, folder / "recipes.parquet")
    held_out = held_out_recipes(manifest, unseen, params)
    write_recipes(held_out, folder / "held_out.parquet")
    rows = _render_all(held_out, manifest, unseen, params, folder)
    facts = Facts(manifest.facts.unit, "pixel", tuple(f"weak-{beta:g}" for beta in params.weak))
    write_manifest(rows, facts, folder / "manifest.parquet")
    _write_preview(training, held_out, manifest, (known, unseen), params, folder / "preview.png")


def held_out_recipes(
    manifest: Manifest, textures: TextureBank, params: SynthesisParams
) -> pd.DataFrame:
    """Recipes of the validation set and of one weak-defect set for each β."""
    normals = manifest.of("val", 0)["image"].tolist()

    def recipes(purpose: str, count: int, beta: float | None) -> pd.DataFrame:
        # A different image first in each set, so that few images still show a variety.
        start = zlib.crc32(purpose.encode())
        images = [normals[(start + number) % len(normals)] for number in range(count)]
        draws = [number // len(normals) for number in range(count)]
        return draw_recipes(images, draws, purpose, "shapes", textures.names, params, beta)

    sets = [recipes("validation", params.validation_images, None)]
    sets += [recipes(f"weak-{beta:g}", params.weak_images, beta) for beta in params.weak]
    return pd.concat(sets, ignore_index=True)


def _render_all(
    recipes: pd.DataFrame,
    manifest: Manifest,
    textures: TextureBank,
    params: SynthesisParams,
    folder: Path,
) -> list[dict[str, Any]]:
    """Render each recipe at its image's own size; the manifest rows of what was written."""
    rows = []
    title = f"rendering {manifest.facts.unit}"
    for number, purpose in progress(enumerate(recipes["purpose"]), title, len(recipes), "image"):
        sample = _sample(recipes.iloc[[number]], manifest, textures, params)
        image = Path(purpose) / "images" / f"{number:04d}.png"
        mask = Path(purpose) / "masks" / f"{number:04d}.png"
        for path, pixels in ((image, sample.synthetic), (mask, sample.mask.astype(np.uint8) * 255)):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / path, compress_level=1)
        rows.append(
            {
                "image": image.as_posix(),
                "mask": mask.as_posix(),
                "split": purpose.partition("-")[0],
                "label": 1,
                "defect": recipes["kind"][number],
                "slice": purpose if purpose.startswith("weak-") else "",
                "group": recipes["image"][number],
                "width": sample.synthetic.shape[1],
                "height": sample.synthetic.shape[0],
            }
        )
    return rows


def _sample(
    recipe: pd.DataFrame, manifest: Manifest, textures: TextureBank, params: SynthesisParams
) -> Sample:
    """Render one recipe at its image's own size, as 8-bit pictures."""
    normal = read_image(manifest.root / recipe["image"].iloc[0])
    # The cell scales with the image, so that "not empty" means the same at every size.
    cell = max(1, round(params.cell * min(normal.shape[:2]) / params.size))
    tensor = torch.from_numpy(normal.copy()).permute(2, 0, 1)[None]
    image, mask = render(recipe, tensor, textures, cell)
    synthetic = (image[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    row = recipe.iloc[0]
    caption = f"{row['purpose']}: {row['kind']}, beta {row['beta']:.2f}, {row['texture']}"
    return Sample(normal, synthetic, mask[0].numpy(), caption)


def _write_preview(
    training: pd.DataFrame,
    held_out: pd.DataFrame,
    manifest: Manifest,
    banks: tuple[TextureBank, TextureBank],
    params: SynthesisParams,
    path: Path,
) -> None:
    """A few samples of each purpose; training draws are spread over the images."""
    spread = np.linspace(0, len(training) - 1, PREVIEW_EACH, dtype=int)
    samples = [_sample(training.iloc[[i]], manifest, banks[0], params) for i in spread]
    for _, rows in held_out.groupby("purpose", sort=True):
        chosen = rows.head(2 if rows["purpose"].iloc[0] == "validation" else 1)
        samples += [
            _sample(chosen.iloc[[i]], manifest, banks[1], params) for i in range(len(chosen))
        ]
    write_preview(samples, path)
