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
import pandas as pd

from blemish.metrics.curves import auroc, rank


def separation(file: Path) -> float | None:
    """The AUROC that one result's `scores.parquet` gives; None if one side is empty."""
    rows = pd.read_parquet(file, columns=["split", "slice", "score"])
    doubtful = (rows["slice"] == "doubtful").to_numpy()
    used = doubtful | (rows["split"] == "val").to_numpy()
    return auroc(rank(doubtful[used].astype(np.int8), rows["score"].to_numpy()[used]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, default=Path("results"))
    results = parser.parse_args().results
    found: dict[str, list[float]] = {}
    for file in sorted(results.glob("elpv/*/*/scores.parquet")):
        unit, method = file.parts[-3], file.parts[-2].rpartition("-")[0]
        value = separation(file)
        if value is not None:
            found.setdefault(f"elpv/{unit} {method}", []).append(value)
    if not found:
        raise SystemExit(f"error: {results}: no results of elpv: run units [elpv/mono] first")
    for name, values in found.items():
        spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
        print(f"{name:24}{np.mean(values):.3f}{spread}  (seeds: {len(values)})")
    print(json.dumps({name: round(float(np.mean(values)), 3) for name, values in found.items()}))


if __name__ == "__main__":
    main()
