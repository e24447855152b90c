"""Read the results of a project, from its files and from MLflow.

    python examples/read_results.py [PROJECT]

PROJECT is a folder in which `make repro`, `blemish run` or `dvc repro` has run; the present one if
none is named. Prints the numbers of each run, its missed defects, and what MLflow has of it.
"""

import contextlib
import sys
from pathlib import Path

import mlflow
import pandas as pd

from blemish.core.workspace import MODELS, RESULTS, Run, evaluated_runs

NUMBERS = ("image_auroc", "image_f1max", "pixel_aupro")
PARAMETERS = ("epochs", "image_size")


def numbers(runs: list[Run]) -> pd.DataFrame:
    """A row a run: its headline numbers, and what one threshold makes of the test set."""
    rows = {}
    for run in runs:
        low, high = run.draws["image_auroc"].quantile([0.025, 0.975])
        rows[run.name] = {
            **{name: run.metrics.get(name) for name in NUMBERS},
            "95 %": f"[{low:.3f} {high:.3f}]",
            "recall": run.record["threshold"]["recall"],
            "false alarms": run.record["threshold"]["test_false_alarm_rate"],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def missed(run: Run) -> pd.DataFrame:
    """The defective test images below the threshold, the least noticed first."""
    scores = run.scores().query("headline and label == 1 and decision == 0")
    return scores[["image", "defect", "score"]].sort_values("score")


def tracked() -> pd.DataFrame:
    """A row a run of MLflow's experiment, the newest first, with its tags, numbers and settings."""
    runs = mlflow.search_runs(experiment_names=["blemish"])
    wanted = ["tags.unit", "tags.method", "tags.seed"]
    wanted += [f"metrics.{name}" for name in NUMBERS] + [f"params.{name}" for name in PARAMETERS]
    return runs[[name for name in wanted if name in runs]]


def main(project: str = ".") -> None:
    with contextlib.chdir(Path(project)):
        runs = evaluated_runs(MODELS, RESULTS)
        if not runs:
            sys.exit(f"{project}: no results: run `make repro` there first")
        print(numbers(runs).to_string(float_format="%.3f", na_rep="–"), "\n")
        for run in runs:
            worst = missed(run).head(3)
            print(f"{run.name}: {len(missed(run))} defect(s) missed")
            print(worst.to_string(index=False) if len(worst) else "", "\n")
        mlflow.set_tracking_uri("sqlite:///mlflow.db")  # or `tracking.uri` of params.yaml
        print("MLflow\n" + tracked().to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main(*sys.argv[1:])
