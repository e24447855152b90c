"""What the report says about real defects for choosing."""

from typing import Any

from blemish.report.choices import choices, selection
from tests.report.runs import a_run


def real(auroc: float, recall: float) -> dict[str, Any]:
    one = {"count": 4, "image_auroc": auroc, "recall": recall}
    return {"count": 8, "image_auroc": auroc, "recall": recall, "thresholds": [],
            "slices": {"selection": one, "feedback": one}}  # fmt: skip


def test_a_unit_without_real_defects_says_nothing_of_them() -> None:
    runs = [a_run("elpv/mono", "glass", 0)]
    assert choices([runs]) is None
    assert selection(runs)["rows"] == []


def test_each_criterion_names_what_it_would_choose() -> None:
    drawn = {"validation": {"image_auroc": 0.99}}
    glass = a_run("elpv/mono", "glass", 0, selection=real(0.8, 0.5), **drawn)
    dmad = a_run("elpv/mono", "dmad", 0, selection=real(0.9, 0.25), validation={"image_auroc": 0.7})
    table = choices([[glass], [dmad]])
    assert table is not None
    chosen = {row[0]: row[2] for row in table["rows"]}
    assert chosen == {
        "Thresholds": "one a model",
        "Champion, were promote_by image_auroc": "glass seed 0 (0.990)",
        "Champion, were promote_by selection_image_auroc": "dmad seed 0 (0.900)",
        "Champion, were promote_by selection_recall": "glass seed 0 (0.500)",
        "Nothing": "–",
    }
    assert table["rows"][-1][1] == "the test set"


def test_a_method_has_a_row_for_each_slice() -> None:
    runs = [a_run("elpv/mono", "glass", seed, selection=real(0.8 + 0.1 * seed, 0.5))
            for seed in (0, 1)]  # fmt: skip
    rows = selection(runs)["rows"]
    assert [row[:3] for row in rows] == [
        ["all", "8", "0.850"], ["confirmed in a review", "4", "0.850"],
        ["set apart by data.selection", "4", "0.850"],
    ]  # fmt: skip
    assert selection([runs[0], a_run("elpv/mono", "glass", 1)])["rows"] == []
