"""A detector that finds not even what was drawn for it says so, wherever its numbers stand."""

import pytest

from blemish.evaluation.warning import early_warning
from tests.evaluation.white import metrics_of, results

pytestmark = pytest.mark.usefixtures("white")


@pytest.mark.parametrize(
    ("auroc", "warned"), [(None, False), (1.0, False), (0.7, False), (0.69, True), (0.2, True)]
)
def test_the_warning_begins_below_the_least(auroc: float | None, warned: bool) -> None:
    found = early_warning(auroc)
    assert (found is not None) == warned
    if warned:
        assert f"image AUROC {auroc:.2f}, below 0.7" in str(found)


def test_a_blind_detector_is_named_when_it_is_evaluated(tmp_path, capsys) -> None:
    found = metrics_of(results(tmp_path, level=256))  # sees nothing
    assert found["validation"]["image_auroc"] == 0.5
    assert "image AUROC 0.50" in found["warning"]
    assert f"tiny/bolts white seed 0: {found['warning']}" in capsys.readouterr().err
    assert metrics_of(results(tmp_path))["warning"] == early_warning(
        metrics_of(results(tmp_path))["validation"]["image_auroc"]
    )
