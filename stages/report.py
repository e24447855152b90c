"""report: the small aggregate for `dvc exp show`, DVC's plots, and the HTML report."""

from pathlib import Path

from blemish.core.errors import run_stage
from blemish.core.params import load_params
from blemish.report.build import build


def main(models: str, results: str, synthetic: str, metrics: str, plots: str, report: str) -> None:
    params = load_params()
    inputs = (Path(models), Path(results), Path(synthetic))
    outputs = (Path(metrics), Path(plots), Path(report))
    build(*inputs, *outputs, params.units, params.methods, params.seeds)


if __name__ == "__main__":
    run_stage(main)
