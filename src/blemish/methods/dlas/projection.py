"""What DLAS-Net adds at the feature level (`docs/spec/dlas-net.md` §3)."""

from torch import Tensor

from blemish.methods.glass.hidden_ascent import Projection

INNER, OUTER = 0.8, 1.2  # of the projection's radius
SPREAD = 0.5  # standard deviations that the radius lies above the mean length


def adaptive_projection(low: float = 0.5, high: float = 1.0) -> Projection:
    """Lengths are clipped to [0.8 R, 1.2 R], with R = mean + std / 2 of them all, in [low, high].

    On the manifold, at the published width and noise, R ≈ 0.593 and no length is changed. On the
    hypersphere R ≤ 1 brings every offset to within 1.2 of the centre. R carries gradient.
    Lengths are (N, 1) with N ≥ 2.
    """

    def projection(lengths: Tensor) -> Tensor:
        radius = (lengths.mean() + SPREAD * lengths.std()).clamp(low, high)
        return lengths.clamp(min=INNER * radius).clamp(max=OUTER * radius)

    return projection
