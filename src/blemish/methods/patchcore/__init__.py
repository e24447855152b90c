"""PatchCore (CVPR 2022), the training-free reference. Equations are those of the paper."""
