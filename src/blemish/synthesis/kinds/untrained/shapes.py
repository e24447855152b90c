"""Held out: a texture in turned ellipses and rectangles."""

from blemish.synthesis.kind import textured
from blemish.synthesis.masks import shape_masks

KIND = textured(shape_masks)
