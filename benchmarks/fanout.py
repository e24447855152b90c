"""Many stages at once: `dvc repro` one by one, `blemish run --jobs 4`, a Ray cluster of 4 slots.

The stages sleep, so that what is measured is everything else. Then a run with nothing to do, of
graphs of 50, 200 and 1,000 stages, by `dvc repro` and by `blemish run`; and two Ray nodes of two
slots with 40 stages that read 50 MB each, of which no node sees DVC's cache: how many bytes a node
fetched of those that it needed. Run on an idle machine:

    python benchmarks/fanout.py [stages] [seconds of each] [sizes of the idle graphs, e.g. 50,200]
        [slots] [stages with an input] [MB of each]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SLOTS = 4
SOURCE = Path(__file__).resolve().parents[1] / "src"
DVC = [sys.executable, "-m", "dvc"]

PIPELINE = """
stages:
  train:
    matrix: {{number: {numbers}}}
    cmd: python stage.py {seconds} models/${{item.number}}
    deps: [stage.py]
    outs: ["models/${{item.number}}"]
  report:
    cmd: python stage.py 0 report
    deps: [stage.py, models]
    outs: [report]
  track:
    always_changed: true
    cmd: "true"
    deps: [report]
"""

STAGE = """
import sys, time
time.sleep(float(sys.argv[1]))
with open(sys.argv[2], "w") as file:
    file.write(sys.argv[2])
"""

LOCAL = """
from rich.console import Console
from blemish.run.run import run
from blemish.run.local import local_slots
raise SystemExit(run([], local_slots({slots}, None, 1), Console(), 1))
"""

CLUSTER = """
from rich.console import Console
from blemish.run.run import ClusterOptions, run_on_cluster
options = ClusterOptions({address!r}, share_cache={shared})
raise SystemExit(run_on_cluster([], options, Console(), 1))
"""

WITH_INPUTS = """
stages:
  make:
    matrix: {{number: {numbers}}}
    meta: {{cluster: head}}
    cmd: python make.py {size} inputs/${{item.number}}
    deps: [make.py]
    outs: ["inputs/${{item.number}}"]
  use:
    matrix: {{number: {numbers}, part: [0, 1]}}
    cmd: python stage.py 2 models/${{item.number}}-${{item.part}}
    deps: [stage.py, "inputs/${{item.number}}"]
    outs: ["models/${{item.number}}-${{item.part}}"]
"""

MAKE = """
import os, sys
with open(sys.argv[2], "wb") as file:
    file.write(os.urandom(int(sys.argv[1]) * 10**6))
"""


def environment() -> dict[str, str]:
    """Stages find this Python, and every process Blemish."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": str(SOURCE), "DVC_NO_ANALYTICS": "1"}


def call(folder: Path, *command: str) -> float:
    """Seconds that a command took. Stops with its output if it failed."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)[:200]}:\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - began


def workspace(folder: Path, stages: int, seconds: float) -> Path:
    """A committed repository of `stages` trainings, none of which has run."""
    folder.mkdir()
    call(folder, "git", "init", "--quiet")
    call(folder, *DVC, "init", "--quiet")
    text = PIPELINE.format(numbers=list(range(stages)), seconds=seconds)
    (folder / "dvc.yaml").write_text(text)
    (folder / "stage.py").write_text(STAGE)
    (folder / "models").mkdir()
    (folder / "models/.gitkeep").touch()
    (folder / ".gitignore").write_text("/models/*\n!/models/.gitkeep\n/report\n/logs/\n")
    call(folder, "git", "add", "--all")
    named = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
    call(folder, "git", *named, "commit", "--quiet", "--message", "benchmark")
    return folder


def by_jobs(folder: Path, slots: int) -> float:
    """Seconds of `blemish run --jobs`."""
    return call(folder, sys.executable, "-c", LOCAL.format(slots=slots))


def by_cluster(folder: Path, slots: int) -> float:
    """Seconds on a Ray node of this machine; its start is not counted."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        cluster.add_node(num_cpus=slots)
        return call(
            folder, sys.executable, "-c", CLUSTER.format(address=cluster.address, shared=True)
        )
    finally:
        cluster.shutdown()


def busy(folder: Path, stages: int, seconds: float, slots: int) -> dict[str, float]:
    """All three ways; efficiency is the time of the stages' work over that of the slots."""
    ways: dict[str, tuple[int, Callable[[Path], float]]] = {
        "serial": (1, lambda space: call(space, *DVC, "repro")),
        "jobs": (slots, lambda space: by_jobs(space, slots)),
        "ray": (slots, lambda space: by_cluster(space, slots)),
    }
    work, figures, walls = stages * seconds, {}, {}
    print(f"{stages} stages of {seconds:g} s: wall time, what of it is not stages, per stage")
    for name, (places, way) in ways.items():
        walls[name] = wall = way(workspace(folder / name, stages, seconds))
        outside = wall - work / places
        figures[f"{name}_efficiency"] = work / places / wall
        print(
            f"  {name:8} {places} at once  {wall:7.1f} s  {outside:6.1f} s ({outside / wall:4.0%})"
            f"  {outside / stages:.2f} s"
        )
    overhead = {name: wall - work / ways[name][0] for name, wall in walls.items()}
    for name in ("jobs", "ray"):
        figures[f"{name}_speed_ratio"] = walls["serial"] / walls[name]
        figures[f"{name}_overhead_ratio"] = overhead["serial"] / overhead[name]
    return figures


def inputs(folder: Path, stages: int, size: int) -> dict[str, float]:
    """Each input is read by two stages; a node that runs both, or one again, fetches it once."""
    from ray.cluster_utils import Cluster

    space = workspace(folder / "inputs", 1, 0)
    numbers = list(range(stages // 2))
    (space / "dvc.yaml").write_text(WITH_INPUTS.format(numbers=numbers, size=size))
    (space / "make.py").write_text(MAKE)
    (space / "inputs").mkdir()
    (space / ".gitignore").write_text("/models/*\n/inputs/*\n/logs/\n")
    call(space, *DVC, "repro", *(f"make@{number}" for number in numbers))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    kept = [folder / f"node-{number}" for number in range(2)]
    try:
        for place in kept:
            cluster.add_node(num_cpus=2, env_vars={"BLEMISH_NODE_FOLDER": str(place)})
        code = CLUSTER.format(address=cluster.address, shared=False)
        wall = call(space, sys.executable, "-c", code)
    finally:
        cluster.shutdown()
    figures = {"inputs_efficiency": stages * 2 / 4 / wall}
    for number, place in enumerate(kept):
        files = [path for path in (place / "inputs").rglob("content") if path.is_file()]
        moved = sum(path.stat().st_size for path in files) / 1e6
        figures[f"inputs_node_{number}_MB"] = moved
        print(f"  node {number}: {len(files)} of {len(numbers)} inputs, {moved:,.0f} MB")
    print(f"  {stages} stages of 2 s with {size} MB each on two nodes of two slots: {wall:.1f} s")
    return figures


def idle(folder: Path, stages: int) -> dict[str, float]:
    """Nothing to do: the outputs are written by hand and committed to DVC as they are."""
    space = workspace(folder / f"idle-{stages}", stages, 0)
    for number in range(stages):
        (space / f"models/{number}").write_text(f"models/{number}")
    (space / "report").write_text("report")
    call(space, *DVC, "commit", "--force", "--quiet")
    # In turn, and the fastest of three: the first ones find nothing in the machine's file cache.
    pairs = [(call(space, *DVC, "repro"), by_jobs(space, SLOTS)) for _ in range(3)]
    theirs, ours = (min(times) for times in zip(*pairs, strict=True))
    print(
        f"  {stages:5} stages, nothing to do: dvc repro {theirs:5.1f} s, blemish run {ours:5.1f} s"
    )
    return {f"idle_{stages}_ratio": theirs / ours}


def main(
    stages: int = 24,
    seconds: float = 5.0,
    sizes: str = "50,200,1000",
    slots: int = SLOTS,
    with_inputs: int = 40,
    size: int = 50,
) -> None:
    with tempfile.TemporaryDirectory() as name:
        figures = busy(Path(name), stages, seconds, slots)
        for number in filter(None, sizes.split(",")):
            figures |= idle(Path(name), int(number))
        if with_inputs:
            figures |= inputs(Path(name), with_inputs, size)
    print(json.dumps({key: round(value, 2) for key, value in figures.items()}))


if __name__ == "__main__":
    given = sys.argv[1:]
    main(*(kind(word) for kind, word in zip((int, float, str, int, int, int), given, strict=False)))
