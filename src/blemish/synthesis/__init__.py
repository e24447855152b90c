"""Synthetic defects: recipes (what is drawn) and rendering (the pixels a recipe determines)."""
