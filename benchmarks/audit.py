"""How well the audit finds defective images that were called good.

Defective test images are planted among a prepared unit's training normals, as wrong labels; the
audit ranks all of them. Printed are the AUROC of the ranking and the share of the planted ones
among its first twenty (of as many as can be there), each the mean of some draws:

    python benchmarks/audit.py elpv/mono impeller/all lcdsim/grey
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from blemish.audit.audit import ranked
from blemish.core.device import choose_device
from blemish.images.manifest import Manifest, read_manifest
from blemish.images.store import GIB, ImageStore

FIRST = 20


def planted(manifest: Manifest, share: float, draw: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The normals and some defects among them, and which rows these are."""
    rows = manifest.rows
    normals = rows[rows["split"] != "test"]
    defects = rows[(rows["split"] == "test") & (rows["label"] == 1) & (rows["slice"] == "")]
    if defects.empty:
        defects = rows[(rows["split"] == "test") & (rows["label"] == 1)]
    count = min(max(1, round(share * len(normals))), len(defects))
    chosen = defects.sample(count, random_state=draw)
    both = pd.concat([normals, chosen.assign(split="train")], ignore_index=True)
    return both, np.arange(len(both)) >= len(normals)


def measure(manifest: Manifest, share: float, draw: int, store: ImageStore) -> tuple[float, float]:
    """AUROC, and the share of the planted ones among the first twenty."""
    rows, wrong = planted(manifest, share, draw)
    table, _ = ranked(Manifest(rows, manifest.facts, manifest.root), store, 1)
    of_image = dict(zip(rows["image"], wrong, strict=True))
    found = table["image"].map(of_image).to_numpy(dtype=bool)
    auroc = float(roc_auc_score(found, table["score"]))
    return auroc, found[:FIRST].sum() / min(FIRST, wrong.sum())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("units", nargs="+", help="prepared in this workspace")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.02, 0.05, 0.1])
    parser.add_argument("--draws", type=int, default=3)
    asked = parser.parse_args()
    choose_device("cpu", 1)
    print("| unit | planted | AUROC | among the first twenty |\n|---|---|---|---|")
    for unit in asked.units:
        manifest = read_manifest(Path("data/prepared") / unit)
        for share in asked.shares:
            found = [
                measure(manifest, share, draw, ImageStore(Path("data/store"), 20 * GIB))
                for draw in range(asked.draws)
            ]
            auroc, first = np.mean(found, axis=0)
            print(f"| {unit} | {share:.0%} | {auroc:.3f} | {first:.0%} |", flush=True)


if __name__ == "__main__":
    main()
