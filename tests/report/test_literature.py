"""Published numbers: transcribed right, beside ours, with what sets them apart."""

from typing import Any

import pytest

from blemish.datasets.registry import check_unit
from blemish.report.literature import beside_ours, published_results


def row(method: str, **metrics: float | None) -> dict[str, Any]:
    means = {name: {"mean": value, "std": None} for name, value in metrics.items()}
    return {
        "method": method, "metrics": means, "protocol": "honest", "resolution": "original",
        "input_size": [256, 256],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "variant", "prefix", "metric", "mean"),
    [
        ("glass", "manifold", "mvtec/", "image_auroc", 0.997),
        ("glass", "hypersphere", "mvtec/", "image_auroc", 0.998),
        ("glass", "judge", "mvtec/", "image_auroc", 0.999),
        ("glass", "judge", "mvtec/", "pixel_auroc", 0.993),
        ("glass", "manifold", "visa/", "image_auroc", 0.988),
        ("glass", "hypersphere", "mpdd/", "pixel_auroc", 0.988),
        ("glass", "manifold", "wfdd/", "pixel_auroc", 0.989),
        ("dsarad", "", "mvtec/", "image_auroc", 0.991),
        ("dsarad", "", "mvtec/", "pixel_auroc", 0.968),
        ("dmad", "", "mvtec/", "image_auroc", 0.982),
        ("esad", "", "loco-structural/", "image_auroc", 0.893),
    ],
)
def test_categories_average_to_the_published_mean(
    method: str, variant: str, prefix: str, metric: str, mean: float
) -> None:
    known = published_results()
    own = known[
        (known["method"] == method)
        & (known["variant"] == variant)
        & known["unit"].str.startswith(prefix)
        & (known["metric"] == metric)
    ]
    assert own["value"].mean() == pytest.approx(mean, abs=0.0006)


def test_every_unit_exists_once_a_method_variant_and_metric() -> None:
    known = published_results()
    for unit in set(known["unit"]):
        check_unit(unit, {}, "results.csv")
    assert not known.duplicated(["method", "variant", "unit", "metric"]).any()
    assert known["value"].between(0.5, 1).all()
    assert (known[["source", "protocol"]] != "").all().all()


def test_ours_stand_beside_theirs() -> None:
    table = beside_ours(
        "mvtec/cable", [row("dsarad", image_auroc=0.95), row("new", image_auroc=1.0)]
    )
    assert table is not None
    assert table["rows"] == [
        ["dsarad", "Image AUROC", "0.950", "0.963", "-0.013"],
        ["dsarad", "Pixel AUROC", "–", "0.952", "–"],
    ]
    assert "protocol honest, 256×256 px input" in table["warning"]
    assert table["sources"][0].startswith("DSARAD, table of the paper: mean of 4 trials")


def test_nothing_is_shown_where_nothing_is_published() -> None:
    assert beside_ours("elpv/mono", [row("glass", image_auroc=0.9)]) is None
