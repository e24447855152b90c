"""Image AUROC of elpv's doubtful cells against its validation normals, from a workspace's results.

Cells to which experts gave a defect probability of 1/3 or 2/3 are real, and no headline number
counts them: a guide to real defects, as the validation set is one to rendered ones. After
`dvc repro` or `blemish run` on elpv units:

    python benchmarks/doubtful.py [--results results]
"""

import argparse
import json
from pathlib import Path

import numpy as np

from blemish.core.workspace import MODELS, Run, evaluated_runs
from blemish.metrics.curves import auroc, rank


def separation(run: Run) -> float | None:
    """The AUROC that one run's scores give; None if one side is empty."""
    rows = run.scores()
    doubtful = (rows["slice"] == "doubtful").to_numpy()
    used = doubtful | (rows["split"] == "val").to_numpy()
    area = auroc(rank(doubtful[used].astype(np.int8), rows["score"].to_numpy()[used]))
    return None if area is None else float(area)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, default=Path("results"))
    results = parser.parse_args().results
    areas: dict[str, list[float]] = {}
    for run in evaluated_runs(MODELS, results):
        area = separation(run) if run.unit.startswith("elpv/") else None
        if area is not None:
            areas.setdefault(f"{run.unit} {run.method}", []).append(area)
    if not areas:
        raise SystemExit(f"error: {results}: no results of elpv: run units [elpv/mono] first")
    for name, values in areas.items():
        spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
        print(f"{name:24}{np.mean(values):.3f}{spread}  (seeds: {len(values)})")
    print(json.dumps({name: round(float(np.mean(values)), 3) for name, values in areas.items()}))


if __name__ == "__main__":
    main()
