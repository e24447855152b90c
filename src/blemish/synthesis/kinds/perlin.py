"""GLASS: a texture in Perlin noise (`docs/spec/glass.md` §3)."""

from blemish.synthesis.kind import textured
from blemish.synthesis.masks import perlin_masks

KIND = textured(perlin_masks)
