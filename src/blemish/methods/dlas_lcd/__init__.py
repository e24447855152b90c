"""An extension of DLAS-Net for weak display defects. Ours, not the authors'."""
