"""DLAS-Net: a texture in Perlin noise with lines or points (`docs/spec/dlas-net.md` §2)."""

from blemish.synthesis.kind import textured
from blemish.synthesis.masks import dlas_masks

KIND = textured(dlas_masks)
