"""Shuffled patches of the unit's own normals in Perlin noise."""

from blemish.synthesis.kind import textured
from blemish.synthesis.masks import perlin_masks

KIND = textured(perlin_masks, "self", "draw_shuffled")
