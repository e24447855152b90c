"""Train and judge one method with other settings, beside the workspace's own results.

For choosing settings: the stages `train` and `evaluate` run with changed parameters on a unit that
the workspace has prepared, without DVC, and nothing in the workspace changes. The sets of weak
defects are left out. `benchmarks/collection.py` compares what several trials gave:

    python benchmarks/trial.py impeller/all glass 0 -S glass.top_cells=8 --out trials/top8
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from blemish.core.errors import UserError
from blemish.core.params import PARAMS_FILE
from blemish.core.profiles import set_params
from blemish.images.store import STORE

MANIFEST = "manifest.parquet"
STAGES = Path(__file__).resolve().parents[1] / "stages"


def trial(unit: str, method: str, seed: int, settings: list[str], out: Path) -> str:
    """Write models and results of one trial below `out`, say in a line what it gave."""
    here = Path.cwd()
    model, results = (
        (out / part / unit / f"{method}-{seed}").resolve() for part in ("models", "results")
    )
    with tempfile.TemporaryDirectory(prefix="trial") as name:
        scratch = Path(name)
        (scratch / PARAMS_FILE).write_bytes((here / PARAMS_FILE).read_bytes())
        plain = ["evaluation.animation=0", "evaluation.heatmaps=0"]
        set_params([*plain, *settings], scratch / PARAMS_FILE)
        (scratch / STORE.parent).mkdir(parents=True)
        (scratch / STORE).symlink_to(here / STORE)
        prepared, synthetic = here / "data/prepared" / unit, scratch / "synthetic"
        _without_weak(here / "data/synthetic" / unit, synthetic)
        code = here / "data/code" / "train" / f"{method}.json"
        began = time.monotonic()
        data = [prepared, synthetic, here / "data/textures", code]
        _stage(scratch, "train", unit, method, seed, *data, model)
        trained = time.monotonic()
        _stage(scratch, "evaluate", model, prepared, synthetic, results)
    record = json.loads((results / "metrics.json").read_text(encoding="utf-8"))
    known = {name: value for name, value in record["metrics"].items() if value is not None}
    shown = ("image_auroc", "pixel_aupro", "pixel_ap", "pixel_f1max")
    numbers = " ".join(f"{name} {known[name]:.3f}" for name in shown if name in known)
    seconds = f"train {trained - began:.0f} s, evaluate {time.monotonic() - trained:.0f} s"
    return f"{unit} {method} {seed} {' '.join(settings)}: {numbers} ({seconds})"


def _without_weak(folder: Path, target: Path) -> None:
    """The synthetic sets by links, but for the weak ones."""
    target.mkdir()
    for entry in folder.iterdir():
        if entry.name != MANIFEST:
            (target / entry.name).symlink_to(entry)
    table = pq.read_table(folder / MANIFEST)
    pq.write_table(table.filter(pc.field("split") != "weak"), target / MANIFEST)


def _stage(folder: Path, stage: str, *words: object) -> None:
    command = [sys.executable, str(STAGES / f"{stage}.py"), *map(str, words)]
    done = subprocess.run(command, cwd=folder, env=os.environ, check=False, capture_output=True)
    if done.returncode:
        raise UserError(done.stderr.decode().strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("unit", help="prepared in this workspace, e.g. elpv/mono")
    parser.add_argument("method")
    parser.add_argument("seed", type=int)
    parser.add_argument("-S", "--set-param", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, required=True, help="folder of the trial")
    asked = parser.parse_args()
    try:
        print(trial(asked.unit, asked.method, asked.seed, asked.set_param, asked.out), flush=True)
    except UserError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
