"""Data: where units come from, the one layout they get, and how images are read."""
