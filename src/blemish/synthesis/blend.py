"""Blending textures into normal images, the same bytes on a CPU and on other devices."""

import numpy as np
import torch
from torch import Tensor

from blemish.synthesis.textures import Pixels
from blemish.synthesis.threads import in_threads

WHITE = np.float32(255)


def blend(images: Tensor, textures: Pixels, shares: Tensor) -> Tensor:
    """x + share · (T − x) under a mask, float32 (B, 3, H, W) in [0, 1].

    images: uint8 (B, 3, H, W); shares: (B,), 1 − β. The published blend happens after ImageNet
    normalisation; that is affine and the blend's weights sum to one, so blending before it is the
    same. Only pixels under the mask are touched.
    """
    on_cpu = images.device.type == "cpu"
    return (blend_on_cpu if on_cpu else blend_on_device)(images, textures, shares)


def blend_on_device(images: Tensor, textures: Pixels, shares: Tensor) -> Tensor:
    pictures = unit_range(images)
    inside = textures.of(pictures)
    normal = pictures.take(inside)
    change = shares[textures.rows, None] * (textures.colours.float().div_(255) - normal)
    return pictures.put_(inside, normal + change)


def blend_on_cpu(images: Tensor, textures: Pixels, shares: Tensor) -> Tensor:
    """The same bytes: image by image in threads, each in the processor's cache."""
    pictures = torch.empty(images.shape)
    levels, target, weights = images.numpy(), pictures.numpy(), shares.numpy()
    places, colours = textures.places.numpy(), textures.colours.numpy()
    ends = np.searchsorted(textures.rows.numpy(), np.arange(len(images) + 1))

    def blend_image(number: int) -> None:
        np.divide(levels[number], WHITE, out=target[number])
        part = slice(ends[number], ends[number + 1])
        picture = target[number].reshape(3, -1)
        normal = picture.take(places[part], axis=1)
        picture[:, places[part]] = normal + weights[number] * (colours[part].T / WHITE - normal)

    in_threads(blend_image, len(images))
    return pictures


def unit_range(images: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) → float32 in [0, 1]."""
    if images.device.type != "cpu":
        return images.float().div_(255)
    pictures, levels = torch.empty(images.shape), images.numpy()
    target = pictures.numpy()

    def convert_image(number: int) -> None:
        # A piece at a time, in cache, unlike PyTorch's div.
        np.divide(levels[number], WHITE, out=target[number])

    in_threads(convert_image, len(images))
    return pictures
