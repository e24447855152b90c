"""A rehearsal of `benchmarks/gpu.py` on the CPU, whose modules the tests here import."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))  # as for a script that lies there


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal printed and where it wrote."""

    out: Path
    status: int
    said: str


def rehearse(out: Path, *words: str) -> Rehearsal:
    """Run the script as a user would."""
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--tiny", "--out", str(out)]
    done = subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return Rehearsal(out, done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="session")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    """All parts, once."""
    return rehearse(tmp_path_factory.mktemp("proof") / "out", "--minutes", "60")
