"""A trained detector as a graph that needs neither PyTorch nor Blemish, and the proof of it."""
