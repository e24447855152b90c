"""Where the textures of synthetic defects come from."""
