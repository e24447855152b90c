"""What a method may see of a unit while it trains: normals, recipes, textures, no test image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from blemish.core.errors import UserError
from blemish.core.params import KindParams, SynthesisParams
from blemish.images.framing import Framing, Size, sizes_of
from blemish.images.manifest import Manifest, read_manifest
from blemish.images.masks import read_mask
from blemish.images.seen_zones import UnitZones, ZoneReader, has_zones
from blemish.images.store import IN_MEMORY, ImageStore
from blemish.methods.normals import Normals
from blemish.methods.variation import AS_THEY_ARE, Variation
from blemish.synthesis.recipes import draw_recipes, read_recipes
from blemish.synthesis.textures import TextureBank


@dataclass(frozen=True)
class TrainingUnit:
    """A unit's training side. `manifest` holds no test row; `recipes` are sorted (image, draw).

    kinds: a mix of the method's own, drawn in the recipes' place; None: the recipes as they are.
    variation: of the training normals.
    """

    manifest: Manifest
    recipes: pd.DataFrame
    textures: TextureBank
    draws: int
    synthesis: SynthesisParams
    store: ImageStore = IN_MEMORY
    kinds: KindParams | None = None
    variation: Variation = AS_THEY_ARE

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

    def sizes_of(self, split: str) -> list[Size]:
        """Height and width of the normals of "train" or "val"."""
        return sizes_of(self.manifest.of(split, 0))

    def normals(
        self, framing: Framing, split: str = "train", most: int | None = None, seed: int = 0
    ) -> Normals:
        """The normal images of "train" or "val" as a network sees them at once, manifest order.

        most, seed: how many windows are cut, where the framing has any, and which.
        """
        title = f"reading {self.manifest.facts.unit} {split}"
        where = (self.manifest.root, self.manifest.of(split, 0), framing, title)
        normals = normals_of(self.store, *where, most, seed)
        return normals.varied(self.variation) if split == "train" else normals

    def pictures(self, framing: Framing, split: str) -> Sequence[Tensor]:
        """The whole framed normals of "train" or "val", uint8 (3, h, w) each, to be scored."""
        rows = self.manifest.of(split, 0)
        title = f"reading {self.manifest.facts.unit} {split}"
        return self.store.pictures(self.manifest.root, rows, framing, title)

    def zones(self, framing: Framing) -> UnitZones | None:
        """The unit's zones, None where no image has any."""
        if not (self.manifest.facts.zones or has_zones(self.manifest.rows)):
            return None
        reader = ZoneReader(self.manifest.root, self.manifest.facts.zones, framing)
        return UnitZones(self.manifest.tolerances(), reader, self.manifest.rows)

    def foregrounds(self, framing: Framing, normals: Normals) -> Tensor | None:
        """Where defects may lie on each training normal, bool (N, h, w); None: everywhere.

        A pixel that the part covers in part counts (`docs/spec/glass.md` §2.4).
        """
        rows = self.manifest.of("train", 0)
        if rows["foreground"].isna().all():
            return None
        parts = [
            self._foreground(path, size, framing)
            for path, size in zip(rows["foreground"], sizes_of(rows), strict=True)
        ]
        return torch.cat(
            [normals.cut(parts, batch) for batch in torch.arange(len(normals)).split(64)]
        )

    def _foreground(self, path: str | None, size: Size, framing: Framing) -> Tensor:
        if not isinstance(path, str):
            return torch.ones(framing.place(*size).frame, dtype=torch.bool)
        part = np.repeat(read_mask(self.manifest.root / path)[:, :, None], 3, axis=2)
        return torch.from_numpy(framing.to_model(part * np.uint8(255))[0] > 0)

    def draw(
        self,
        rows: Tensor,
        epoch: int,
        seed: int,
        normals: Normals | None = None,
        inside: Tensor | None = None,
    ) -> pd.DataFrame:
        """A recipe for each training normal in `rows`; each epoch takes the next draw.

        Each seed starts at draws of its own. After as many epochs as there are draws they repeat.
        normals: what `rows` are of; None: of the whole images. inside: bool (N, h, w), where
        defects may lie on each: a window of bare background stays clean.
        """
        count = len(self.recipes) if normals is None else max(len(normals), len(self.recipes))
        start = np.random.default_rng([seed, 11]).integers(self.draws, size=count)
        numbers = rows.numpy()
        draws = (start[numbers] + epoch) % self.draws
        owners = numbers if normals is None else normals.owners[rows].numpy()
        recipes = self.recipes.iloc[owners * self.draws + draws].reset_index(drop=True)
        recipes = recipes if self.kinds is None else self._drawn(recipes, self.kinds)
        if inside is not None and normals is not None and normals.side is not None:
            recipes.loc[~inside[rows].flatten(1).any(dim=1).numpy(), "kind"] = "clean"
        return recipes

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


def normals_of(
    store: ImageStore,
    root: Path,
    rows: pd.DataFrame,
    framing: Framing,
    title: str,
    most: int | None,
    seed: int = 0,
) -> Normals:
    """The images of manifest `rows` as a network sees them at once; see `TrainingUnit.normals`."""
    where = (root, rows, framing, title)
    if framing.resize != "tiles":
        return Normals.whole(store.images(*where))
    sizes = [framing.place(*size).frame for size in sizes_of(rows)]
    return Normals.windows(store.pictures(*where), sizes, framing, most, seed)
