"""What a method may see of a unit while it trains: normals, recipes, textures, no test image."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from blemish.core.errors import UserError
from blemish.core.params import KindParams, SynthesisParams
from blemish.images.framing import Framing
from blemish.images.manifest import Manifest, read_manifest
from blemish.images.masks import read_mask
from blemish.images.store import IN_MEMORY, ImageStore
from blemish.synthesis.recipes import draw_recipes, read_recipes
from blemish.synthesis.textures import TextureBank


@dataclass(frozen=True)
class TrainingUnit:
    """A unit's training side. `manifest` holds no test row; `recipes` are sorted (image, draw).

    kinds: a mix of the method's own, drawn in the recipes' place; None: the recipes as they are.
    """

    manifest: Manifest
    recipes: pd.DataFrame
    textures: TextureBank
    draws: int
    synthesis: SynthesisParams
    store: ImageStore = IN_MEMORY
    kinds: KindParams | None = None

    @classmethod
    def open(
        cls,
        prepared: Path,
        synthetic: Path,
        textures: Path,
        synthesis: SynthesisParams,
        store: ImageStore = IN_MEMORY,
    ) -> "TrainingUnit":
        """Read a unit's folders. Raises UserError where the recipes do not fit the manifest."""
        whole = read_manifest(prepared)
        rows = whole.rows[whole.rows["split"] != "test"].reset_index(drop=True)
        manifest = Manifest(rows, whole.facts, whole.root)
        recipes = read_recipes(synthetic / "recipes.parquet")
        recipes = recipes.sort_values(["image", "draw"], ignore_index=True)
        normals = manifest.of("train", 0)["image"]
        draws = len(recipes) // max(len(normals), 1)
        if not draws or recipes["image"].tolist() != normals.repeat(draws).tolist():
            raise UserError(
                f"{synthetic}/recipes.parquet: does not fit {prepared}/manifest.parquet: "
                f"run `dvc repro synthesize@{whole.facts.unit}`"
            )
        bank = TextureBank(textures, "train", prepared, synthetic / "crops")
        return cls(manifest, recipes, bank, draws, synthesis, store)

    def with_kinds(self, kinds: KindParams | None) -> "TrainingUnit":
        """This unit with a method's own mix of training defects; None keeps the unit's.

        A row of the mix is what `synthesis.kinds` set to it would have put into the recipes. Raises
        UserError where the mix asks for crops and the unit has none.
        """
        if kinds is not None and kinds.share("crops") and not self.textures.crops:
            raise UserError(
                f"{self.manifest.facts.unit}: the method's `kinds.crops` is above 0, but no crops "
                "are prepared: put some into data/crops and give `synthesis.kinds.crops` a share"
            )
        return replace(self, kinds=kinds)

    def normals(self, framing: Framing, split: str = "train") -> Tensor:
        """The normal images of "train" or "val", uint8 (N, 3, size, size), manifest order."""
        rows = self.manifest.of(split, 0)
        title = f"reading {self.manifest.facts.unit} {split}"
        return self.store.images(self.manifest.root, rows, framing, title)

    def foregrounds(self, framing: Framing) -> Tensor | None:
        """Where defects may lie on each training normal, bool (N, size, size); None: everywhere.

        A pixel that the part covers in part counts (`docs/spec/glass.md` §2.4).
        """
        rows = self.manifest.of("train", 0)
        if rows["foreground"].isna().all():
            return None
        masks = torch.ones(len(rows), framing.size, framing.size, dtype=torch.bool)
        for mask, path in zip(masks, rows["foreground"], strict=True):
            if isinstance(path, str):
                part = np.repeat(read_mask(self.manifest.root / path)[:, :, None], 3, axis=2)
                mask.copy_(torch.from_numpy(framing.to_model(part * np.uint8(255))[0] > 0))
        return masks

    def draw(self, rows: Tensor, epoch: int, seed: int) -> pd.DataFrame:
        """A recipe for each training normal in `rows`; each epoch takes the next draw.

        Each seed starts at draws of its own. After as many epochs as there are draws they repeat.
        """
        start = np.random.default_rng([seed, 11]).integers(self.draws, size=len(self.recipes))
        numbers = rows.numpy()
        draws = (start[numbers] + epoch) % self.draws
        recipes = self.recipes.iloc[numbers * self.draws + draws].reset_index(drop=True)
        return recipes if self.kinds is None else self._drawn(recipes, self.kinds)

    def _drawn(self, recipes: pd.DataFrame, kinds: KindParams) -> pd.DataFrame:
        """Recipes of other kinds for the same images and draws, by the same function."""
        return draw_recipes(
            recipes["image"].tolist(),
            recipes["draw"].tolist(),
            "train",
            kinds.model_dump(),
            self.textures.names,
            self.synthesis,
            sources={
                "self": self.manifest.of("train", 0)["image"].tolist(),
                "crops": self.textures.crops,
            },
        )
