"""Synthetic defects: recipes (what is drawn) and rendering (the pixels a recipe determines)."""

INDEX = "textures.csv"  # of a texture bank: which file serves which purpose
