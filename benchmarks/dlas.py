"""DLAS-Net at its published size: seconds a training step, plain and ours, on a CPU.

288², `layer3` of WideResNet50-2's shapes with random weights (18×18 cells), float32; batch 8, and
the published batch of 1. As `benchmarks/glass.py`, with the plain form of `docs/spec/dlas-net.md`
(`blemish.methods.dlas.plain`). Run on an idle machine:

    python benchmarks/dlas.py [steps]
"""

import sys

from glass import Batch, Case, compare
from untrained import untrained

from blemish.methods.dlas.params import Params
from blemish.methods.dlas.plain import Plain
from blemish.synthesis.masks import dlas_masks


def case(images: int, variant: str) -> Case:
    params = Params(weights="random", variant=variant)
    batch = Batch(images, params.strides[0], dlas_masks)
    return Case(f"batch{images}_{variant}", lambda: untrained("dlas", params).train(), Plain, batch)


def main(repeat: int = 1) -> None:
    compare((case(8, "manifold"), case(8, "hypersphere"), case(1, "manifold")), repeat)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
