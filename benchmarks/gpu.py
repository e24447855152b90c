"""Blemish proven on a GPU: same numbers as on the CPU, resume, speed, and what a longer training buys.

`benchmarks/gpu.md` says what to carry to a machine with a GPU and what to type there:

    python benchmarks/gpu.py pack FOLDER UNIT                   # photographs → what travels
    python benchmarks/gpu.py check                              # are all packages there?
    python benchmarks/gpu.py --data UNIT --out RESULTS --minutes 25 [--parts abcde] [--continue RESULTS]
    python benchmarks/gpu.py --device cpu --tiny --out RESULTS  # a rehearsal
    python benchmarks/gpu.py costs RESULTS                      # what a full paper run costs
"""  # noqa: E501

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))  # it need not be installed

from gpu_proof.packages import missing_packages, versions

SHARES = {"a": 4.0, "b": 3.0, "c": 6.0, "d": 7.0, "e": 5.0}  # of the time


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--data", type=Path, help="a folder that `pack` made; painted without")
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--parts", default="".join(SHARES), help="some of abcde")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a rehearsal: all parts, no figures")
    parser.add_argument(
        "--continue", dest="earlier", type=Path, help="earlier results to go on from"
    )
    found = parser.parse_args(words)
    if set(found.parts) - SHARES.keys():
        parser.error(f"--parts {found.parts}: some of {''.join(SHARES)}")
    return found


def prove(given: argparse.Namespace) -> int:
    """Do the parts in order, each in its share of the time; 1 where something is not as it must."""
    from gpu_proof.record import Record, run_part
    from gpu_proof.unit import open_unit, paint

    from blemish.core.device import choose_device

    begin = time.monotonic()
    device = choose_device(given.device, where="--device")
    given.out.mkdir(parents=True, exist_ok=True)
    record = Record.open(given.out, given.earlier, machine(device))
    with tempfile.TemporaryDirectory() as scratch:
        unit = open_unit(given.data) if given.data else paint(Path(scratch))
        waiting = sorted(given.parts)
        while waiting:
            left = begin + 60 * given.minutes - time.monotonic()
            share = SHARES[waiting[0]] / sum(SHARES[part] for part in waiting)
            part = waiting.pop(0)
            items = make_part(part)(unit, given.device, given.tiny).items()
            run_part(part, items, record, time.monotonic() + share * left)
    print(f"{given.out}: results.json, table.md; not as it must be: {record.faults or 'nothing'}")
    return int(bool(record.faults))


def make_part(name: str) -> Callable[..., Any]:
    from gpu_proof.agreement import Agreement
    from gpu_proof.learning import LongGlass, PublishedDsarad
    from gpu_proof.resume import Resume
    from gpu_proof.speed import Speed

    return {"a": Agreement, "b": Resume, "c": Speed, "d": LongGlass, "e": PublishedDsarad}[name]


def machine(device: Any) -> dict[str, Any]:
    """What the figures were measured on."""
    import torch

    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else platform.processor() or "cpu",
        "day": time.strftime("%Y-%m-%d"),
        "command": " ".join(sys.argv),
        "packages": versions(),
    }


def pack(photographs: str, target: str) -> int:
    from gpu_proof.unit import pack as pack_unit
    from gpu_proof.unit import size_of

    unit = pack_unit(Path(photographs), Path(target))
    print(f"{unit.root}: {size_of(unit.root):.1f} MiB")
    return 0


def costs(folder: str) -> int:
    from gpu_proof.costs import table
    from gpu_proof.record import read_results

    print(table(read_results(Path(folder))))
    return 0


def check() -> int:
    print(json.dumps(versions(), indent=2))
    missing = missing_packages()
    print(f"missing: {', '.join(missing)}: carry their wheels" if missing else "nothing is missing")
    return int(bool(missing))


def main(words: list[str]) -> int:
    if words == ["check"]:
        return check()
    from blemish.core.errors import UserError

    try:
        if words[:1] == ["pack"] and len(words) == 3:
            return pack(*words[1:])
        if words[:1] == ["costs"] and len(words) == 2:
            return costs(words[1])
        return prove(arguments(words))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
