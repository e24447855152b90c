"""What judging an image costs on this machine, noted once for each model.

A time is never the same twice, and equal inputs give equal bytes in all that DVC keeps. So notes
are no outputs of a stage: they lie in `SPEED`, which neither git nor DVC looks at, and go by the
digest of `model.json`. A model that DVC restores finds its old times; on another machine it has
none until it is measured there.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from blemish.core.files import finished_file, write_json

SPEED = Path("speed")
SCRIPT = SPEED / "times.js"
SHOWN = "one core, batch 1"  # of the times, the one that reports show
REPEATS, SECONDS = 8, 3.0  # of each time: images at most, and about how long at most
PATIENCE = 120  # s, after which a model has no times
# A process of its own: what is in memory there is what scoring needs, and this one's numbers of
# threads stay as they are.
PROGRAM = "from blemish.commands.app import main; main()"


def note_times(model: Path, images: Sequence[Path]) -> None:
    """Measure a model as `blemish speed` does, in a stage that DVC runs, unless there is a note.

    Never stops the stage: where nothing can be measured a line says so.
    """
    digest = digest_of(model)
    if "DVC_STAGE" not in os.environ or not digest or not images or _note(Path(), digest).is_file():
        return
    limits = ["--repeats", str(REPEATS), "--seconds", str(SECONDS), "--json"]
    words = ["speed", *limits, "--", str(model), *map(str, images[:REPEATS])]
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            env=environment, capture_output=True, text=True, timeout=PATIENCE, check=True,
        )  # fmt: skip
        with finished_file(_note(Path(), digest)) as file:
            write_json(file, json.loads(done.stdout))
        write_script(Path())
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"note: {model}: how fast it scores could not be measured: {error}", file=sys.stderr)


def noted_times(root: Path, digest: str) -> dict[str, Any] | None:
    """What `blemish speed --json` prints, as it was noted for a model; None: it was not."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        found: dict[str, Any] = json.loads(_note(root, digest).read_text(encoding="utf-8"))
        float(found["milliseconds"][SHOWN]["median"])
        return found
    return None


def write_script(root: Path) -> None:
    """All notes for pages to read: milliseconds an image (`SHOWN`) by the digests of models."""
    digests = sorted(path.stem for path in (root / SPEED).glob("*.json"))
    notes = {digest: noted_times(root, digest) for digest in digests}
    times = {name: note["milliseconds"][SHOWN]["median"] for name, note in notes.items() if note}
    with finished_file(root / SCRIPT) as file:
        file.write_text(f"window.millisecondsAnImage = {json.dumps(times)};\n", encoding="ascii")


def digest_of(model: Path) -> str:
    """What a model's note goes by; "" where there is no model."""
    try:
        return hashlib.sha256((model / "model.json").read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def _note(root: Path, digest: str) -> Path:
    return root / SPEED / f"{digest}.json"
