"""The development collection: real units of many kinds, all methods, one table; and how settings
are chosen on it.

    python benchmarks/collection.py run DATA [--seeds 0 1 2] [--methods glass dmad]
    python benchmarks/collection.py table [--results results]
    python benchmarks/collection.py choose before=results top8=trials/top8/results

`run` prepares the units (DATA is a folder with ball-screw.tar, aitex-fabric03.tar, casting.tar and
magnetic-tile.zip), writes them into params.yaml and does `blemish run`. `table` prints every
method's numbers, the mean and the worst over the real units, and the distance to PatchCore.
`choose` compares settings that were tried on the same units: what is best on all other units is
judged on the one left out, so that no unit's own test set chooses anything for it.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from blemish.core.errors import UserError
from blemish.core.workspace import MODELS, RESULTS, evaluated_runs
from blemish.download.unpack import unpack

# Own folder → the archive that holds it, in the MVTec layout.
FOLDERS = {"screw": "ball-screw.tar", "fabric": "aitex-fabric03.tar", "impeller": "casting.tar"}
REAL = (
    *("elpv/mono", "elpv/poly", "magnetic-tile/tile"),
    *("screw/all", "fabric/all", "impeller/all"),
)
RENDERED = ("lcdsim/grey", "lcdsim/red")
METRICS = {"image_auroc": "image AUROC", "pixel_aupro": "pixel AUPRO", "pixel_ap": "pixel AP"}
YARDSTICK = "patchcore"

Numbers = dict[tuple[str, str], float]  # by unit and method, the mean over seeds


def run(data: Path, seeds: Sequence[int], methods: Sequence[str]) -> None:
    """Prepare the collection in this workspace and run the grid; then print the table."""
    folders = []
    for name, archive in FOLDERS.items():
        folder = Path("data/collection") / name
        if not folder.is_dir():
            unpack(data / archive, folder.with_suffix(".part"))
            folder.with_suffix(".part").rename(folder)
        (inside,) = (entry for entry in folder.iterdir() if entry.is_dir())
        folders.append(f"{name}: {inside}")
    settings = [
        f"units=[{', '.join((*REAL, *RENDERED))}]",
        f"data.folders={{{', '.join(folders)}}}",
        f"seeds={list(seeds)}",
        *([f"methods=[{', '.join(methods)}]"] if methods else []),
    ]
    words = [word for setting in settings for word in ("-S", setting)]
    environment = os.environ | {"BLEMISH_MIRROR": str(data.resolve())}
    command = [str(Path(sys.executable).with_name("blemish")), "run", *words]
    status = subprocess.run(command, env=environment, check=False).returncode
    table(RESULTS)
    raise SystemExit(status)


def numbers_of(results: Path, metric: str) -> Numbers:
    """{(unit, method): mean over seeds} of one metric, where every seed has it."""
    values: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    for evaluated in evaluated_runs(MODELS, results):
        values[evaluated.unit, evaluated.method].append(evaluated.metrics.get(metric))
    return {
        key: statistics.fmean(known)
        for key, found in values.items()
        if len(known := [value for value in found if value is not None]) == len(found)
    }


def table(results: Path) -> None:
    """Print a table for each metric: units × methods, then mean, worst, distance, units won."""
    if not numbers_of(results, "image_auroc"):
        raise UserError(f"{results}: no results: run `python benchmarks/collection.py run DATA`")
    for metric, heading in METRICS.items():
        numbers = numbers_of(results, metric)
        methods = list(dict.fromkeys(method for _, method in numbers))
        if not methods:
            continue
        print(f"\n{heading:20}" + "".join(f"{method:>11}" for method in methods))
        for unit in (*REAL, *RENDERED):
            _print_row(unit, [numbers.get((unit, method)) for method in methods])
        of = {method: _real(numbers, method) for method in methods}
        _print_row("mean, real", [_mean(of[method].values()) for method in methods])
        _print_row("worst, real", [min(of[method].values(), default=None) for method in methods])
        counts = (f"{len(of[method])} of {len(REAL)}" for method in methods)
        print(f"{'of real units':20}" + "".join(f"{count:>11}" for count in counts))
        yardstick = of.get(YARDSTICK, {})
        against = [_against(of[method], yardstick) for method in methods]
        _print_row(f"against {YARDSTICK}", [_mean(gaps) for gaps in against], sign="+")
        wins = (f"{sum(gap > 0 for gap in gaps)} of {len(gaps)}" for gaps in against)
        print(f"{'units above it':20}" + "".join(f"{won:>11}" for won in wins))


def choose(variants: dict[str, Path], metric: str) -> None:
    """For each method and left-out unit: what is best in the mean of the others, judged on it."""
    tried = {name: numbers_of(folder, metric) for name, folder in variants.items()}
    methods = sorted({method for numbers in tried.values() for _, method in numbers})
    for method in methods:
        of = {name: _real(numbers, method) for name, numbers in tried.items()}
        units = sorted(set.intersection(*(set(each) for each in of.values())))
        if len(units) < 2:
            print(f"{method}: fewer than two units were tried in every way")
            continue
        print(f"\n{method:20}" + "".join(f"{name:>14}" for name in of) + f"{'chosen':>14}")
        judged = []
        for unit in units:
            others = {
                name: _mean(each[other] for other in units if other != unit) or 0.0
                for name, each in of.items()
            }
            best = max(others, key=others.__getitem__)
            judged.append(of[best][unit])
            values = "".join(f"{each[unit]:>14.3f}" for each in of.values())
            print(f"{unit:20}{values}{best:>14}")
        means = "".join(
            f"{statistics.fmean(each[u] for u in units):>14.3f}" for each in of.values()
        )
        print(f"{'mean':20}{means}{statistics.fmean(judged):>14.3f}")


def _real(numbers: Numbers, method: str) -> dict[str, float]:
    return {unit: numbers[unit, method] for unit in REAL if (unit, method) in numbers}


def _against(of_method: dict[str, float], yardstick: dict[str, float]) -> list[float]:
    return [value - yardstick[unit] for unit, value in of_method.items() if unit in yardstick]


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return statistics.fmean(known) if known else None


def _print_row(name: str, values: Iterable[float | None], sign: str = "") -> None:
    cells = ("–" if value is None else f"{value:{sign}.3f}" for value in values)
    print(f"{name:20}" + "".join(f"{cell:>11}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="prepare and run the collection, print the table")
    running.add_argument("data", type=Path, help="folder with the archives")
    running.add_argument("--seeds", type=int, nargs="+", default=[0])
    running.add_argument("--methods", nargs="+", default=[], help="default: those of params.yaml")
    tables = commands.add_parser("table", help="the table of what has been evaluated")
    tables.add_argument("--results", type=Path, default=RESULTS)
    choosing = commands.add_parser("choose", help="leave one unit out: which setting to ship")
    choosing.add_argument("variants", nargs="+", metavar="NAME=RESULTS")
    choosing.add_argument("--metric", choices=METRICS, default="image_auroc")
    asked = parser.parse_args()
    try:
        if asked.command == "run":
            run(asked.data, asked.seeds, asked.methods)
        elif asked.command == "table":
            table(asked.results)
        else:
            pairs = (variant.partition("=") for variant in asked.variants)
            choose({name: Path(folder) for name, _, folder in pairs}, asked.metric)
    except UserError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
