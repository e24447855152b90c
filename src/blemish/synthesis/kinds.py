"""The kinds of synthetic defects: what each draws on the normal images of its rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from blemish.synthesis import contrast
from blemish.synthesis.held_out import HELD_OUT
from blemish.synthesis.masks import (
    dlas_masks,
    draw_until_seen,
    perlin_masks,
    shape_masks,
    single_perlin_masks,
)
from blemish.synthesis.paste import cut_and_paste, paste_crop
from blemish.synthesis.shapes import SHAPES, Shape
from blemish.synthesis.textures import Pixels, TextureBank, draw_under
from blemish.synthesis.threads import in_threads

WHITE = np.float32(255)
MaskMaker = Callable[[Tensor, int, int], Tensor]
ShapeMaker = Callable[[Tensor, int, int], Shape]


@dataclass(frozen=True)
class Batch:
    """Recipes of one kind with what they are drawn on.

    images: (B, 3, H, W) uint8; foreground: (B, H, W) bool or None; seeds: (B,) int64.
    """

    recipes: pd.DataFrame
    images: Tensor
    foreground: Tensor | None
    seeds: Tensor
    textures: TextureBank
    cell: int

    @property
    def size(self) -> tuple[int, int]:
        return self.images.shape[-2], self.images.shape[-1]

    def numbers(self, column: str) -> Tensor:
        """A column of the recipes, (B,) float32."""
        values = self.recipes[column].to_numpy(dtype=np.float64)
        return torch.tensor(values, dtype=torch.float32, device=self.images.device)

    def until_seen(
        self, draw: Callable[[Tensor, Tensor], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        return draw_until_seen(draw, self.seeds, self.size, self.cell, self.foreground)

    def masks(self, maker: MaskMaker) -> Tensor:
        """Masks none of which is empty, (B, H, W) bool."""
        return self.until_seen(lambda seeds, _: (maker(seeds, *self.size),))[0]

    def textures_by(self, drawer: str, masks: Tensor) -> Pixels:
        """Each row's texture under its mask, by a method of `TextureBank`."""
        draw = getattr(self.textures, drawer)
        names, seeds = self.recipes["texture"].tolist(), self.recipes["seed"].tolist()
        return draw_under(draw, names, seeds, masks)


Drawn = tuple[Tensor, Tensor]  # pictures float32 (B, 3, H, W) in [0, 1], masks bool (B, H, W)


def _textured(batch: Batch, maker: MaskMaker, drawer: str = "draw") -> Drawn:
    """A texture of weight 1 − β under a mask (`docs/spec/glass.md` §3.4)."""
    masks = batch.masks(maker)
    textures = batch.textures_by(drawer, masks)
    return blend(batch.images, textures, 1 - batch.numbers("beta")), masks


def _dsarad(batch: Batch) -> Drawn:
    """DSARAD (`docs/spec/dsarad.md` §2.4): a mask may be empty, and is then not drawn again."""
    masks = single_perlin_masks(batch.seeds, *batch.size)
    if batch.foreground is not None:
        masks &= batch.foreground
    textures = batch.textures_by("draw_squashed", masks)
    return blend(batch.images, textures, 1 - batch.numbers("beta")), masks


def _clean(batch: Batch) -> Drawn:
    """The normal image: one side of DSARAD's coin."""
    empty = torch.zeros(len(batch.seeds), *batch.size, dtype=torch.bool, device=batch.images.device)
    return unit_range(batch.images), empty


def _contrasting(batch: Batch, kind: str, shape: ShapeMaker) -> Drawn:
    """A soft shape of a visibility in units of local noise (`docs/spec/dlas-net.md` §8.2)."""

    def draw(seeds: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        profile, label = shape(seeds, *batch.size)
        return label, profile

    labels, profiles = batch.until_seen(draw)
    if batch.foreground is not None:
        profiles = profiles * batch.foreground
    return _shifted(batch, kind, profiles, labels)


def _shades(batch: Batch) -> Drawn:
    """Evenly brighter or darker shapes: the visibility sets."""
    masks = batch.masks(shape_masks)
    return _shifted(batch, "shades", masks.float(), masks)


def _shifted(batch: Batch, kind: str, profiles: Tensor, labels: Tensor) -> Drawn:
    units = contrast.strength(kind, batch.seeds, batch.numbers("visibility").double())
    return contrast.shift(batch.images, profiles, labels, units, batch.seeds), labels


def _visible_texture(batch: Batch) -> Drawn:
    """DLAS-Net's masks with a texture that differs by v·A deviations of local noise (RMS)."""
    masks = batch.masks(dlas_masks)
    textures = batch.textures_by("draw", masks)
    units = contrast.strength("texture", batch.seeds, batch.numbers("visibility").double())
    wanted = units * contrast.local_noise(batch.images, masks)
    difference = textures.colours.int() - batch.images.take(textures.of(batch.images)).int()
    squares = torch.zeros(len(masks), dtype=torch.int64, device=masks.device)
    squares.index_add_(0, textures.rows, (difference * difference).sum(dim=1))
    pixels = torch.bincount(textures.rows, minlength=len(masks))
    found = torch.sqrt(squares.double() / (3 * pixels)) / 255
    share = (wanted.clamp(min=1 / 255) / found.clamp(min=1e-6)).clamp(max=1).float()
    return blend(batch.images, textures, share), masks


def _cutpaste(batch: Batch) -> Drawn:
    """CutPaste: opaque pieces of the image itself."""

    def draw(seeds: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        return cut_and_paste(batch.images[rows], seeds)

    masks, pasted = batch.until_seen(draw)
    return torch.where(masks[:, None], pasted, torch.div(batch.images, 255)), masks


def _crops(batch: Batch) -> Drawn:
    """Real defects, opaque but for their feathered edges; what is half opaque is defect."""
    names = batch.recipes["texture"].tolist()

    def draw(seeds: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        pasted = [
            paste_crop(*batch.textures.crop(names[row]), seed, *batch.size)
            for row, seed in zip(rows.tolist(), seeds.tolist(), strict=True)
        ]
        layers = torch.from_numpy(np.stack(pasted)).to(seeds.device)
        return layers[..., 3] > 127, layers

    masks, layers = batch.until_seen(draw)
    normal, colours = torch.div(batch.images, 255), torch.div(layers, 255).permute(0, 3, 1, 2)
    opacity = colours[:, 3:]
    if batch.foreground is not None:
        opacity = opacity * batch.foreground[:, None]
    return normal + opacity * (colours[:, :3] - normal), masks


def blend(images: Tensor, textures: Pixels, shares: Tensor) -> Tensor:
    """x + share · (T − x) under a mask, float32 (B, 3, H, W) in [0, 1].

    images: uint8 (B, 3, H, W); shares: (B,), 1 − β. The published blend happens after ImageNet
    normalisation; that is affine and the blend's weights sum to one, so blending before it is the
    same. Only pixels under the mask are touched.
    """
    on_cpu = images.device.type == "cpu"
    return (_blend_on_cpu if on_cpu else _blend_on_device)(images, textures, shares)


def _blend_on_device(images: Tensor, textures: Pixels, shares: Tensor) -> Tensor:
    pictures = unit_range(images)
    inside = textures.of(pictures)
    normal = pictures.take(inside)
    change = shares[textures.rows, None] * (textures.colours.float().div_(255) - normal)
    return pictures.put_(inside, normal + change)


def _blend_on_cpu(images: Tensor, textures: Pixels, shares: Tensor) -> Tensor:
    """The same bytes: image by image in threads, each in the processor's cache."""
    pictures = torch.empty(images.shape)
    levels, target, weights = images.numpy(), pictures.numpy(), shares.numpy()
    places, colours = textures.places.numpy(), textures.colours.numpy()
    ends = np.searchsorted(textures.rows.numpy(), np.arange(len(images) + 1))

    def one(number: int) -> None:
        np.divide(levels[number], WHITE, out=target[number])
        part = slice(ends[number], ends[number + 1])
        picture = target[number].reshape(3, -1)
        normal = picture.take(places[part], axis=1)
        picture[:, places[part]] = normal + weights[number] * (colours[part].T / WHITE - normal)

    in_threads(one, len(images))
    return pictures


def unit_range(images: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) → float32 in [0, 1]."""
    if images.device.type != "cpu":
        return images.float().div_(255)
    pictures, levels = torch.empty(images.shape), images.numpy()
    target = pictures.numpy()

    def one(number: int) -> None:  # converts a piece at a time, in cache, unlike PyTorch's div
        np.divide(levels[number], WHITE, out=target[number])

    in_threads(one, len(images))
    return pictures


KINDS: dict[str, Callable[[Batch], Drawn]] = {
    "perlin": partial(_textured, maker=perlin_masks),
    "dlas": partial(_textured, maker=dlas_masks),
    "dsarad": _dsarad,
    "clean": _clean,
    "self": partial(_textured, maker=perlin_masks, drawer="draw_shuffled"),
    "cutpaste": _cutpaste,
    "crops": _crops,
    "texture": _visible_texture,
    **{kind: partial(_contrasting, kind=kind, shape=shape) for kind, shape in SHAPES.items()},
    # Of the held-out sets, never of training:
    "shapes": partial(_textured, maker=shape_masks),
    **{kind: partial(_contrasting, kind=kind, shape=shape) for kind, shape in HELD_OUT.items()},
    "shades": _shades,
}
