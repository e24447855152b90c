"""The reference results: what the grid of params.yaml gave on one stated machine, kept in git.

`metrics/reference.json` holds the leaderboard, a digest of each run's metrics.json, the settings
and the machine. README's table is made of it, and every later run is compared with it.
"""

import json
import os
import platform
import re
import textwrap
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from blemish.core.errors import UserError
from blemish.core.files import finished_file, sha256, write_json
from blemish.core.params import Params
from blemish.core.workspace import Run
from blemish.metrics.table import title
from blemish.report.conditions import conditions
from blemish.report.tables import (
    NO_MASKS,
    Row,
    leaderboard,
    marked,
    number,
    percent,
    spread,
)

REFERENCE, README = Path("metrics/reference.json"), Path("README.md")
BLOCK = re.compile(r"(<!-- leaderboard -->\n).*?(<!-- /leaderboard -->)", re.DOTALL)
COLUMNS = ("image_auroc", "image_f1max", "pixel_aupro")
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "scipy", "opencv-python-headless", "pillow")
WIDTH = 120  # of README's lines

Reference = dict[str, Any]


def write_reference(runs: list[Run], params: Params, root: Path) -> None:
    """Make these results the reference of the project at `root`, and README's table of it."""
    made = {
        "made": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
        "settings": settings(params),
        "conditions": conditions(runs),
        "rows": leaderboard(runs),
        "digests": {run.name: sha256(run.results / "metrics.json") for run in runs},
    }
    text = with_table((root / README).read_text(encoding="utf-8"), made)
    with finished_file(root / REFERENCE) as file, finished_file(root / README) as readme:
        write_json(file, made)
        readme.write_text(text, encoding="utf-8")


def read_reference(path: Path) -> Reference | None:
    """The reference; None where there is none. Raises UserError for a broken file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        _ = found["made"], found["machine"], found["settings"], found["rows"], found["digests"]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is broken ({error}): `git checkout {path}`") from None
    reference: Reference = found
    return reference


def settings(params: Params) -> dict[str, Any]:
    """What the numbers depend on in params.yaml: {dotted key: value}."""
    flat: dict[str, Any] = {}

    def collect(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, part in value.items():
                collect(f"{prefix}.{key}" if prefix else key, part)
        else:
            flat[prefix] = value

    collect("", params.model_dump(mode="json", exclude={"tracking", "export", "audit"}))
    return flat


def machine() -> str:
    """The processor and how many of its cores a process may use, the system."""
    try:
        facts = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        facts = ""
    model = re.search(r"^model name\s*: (.+)$", facts, re.MULTILINE)
    name = model[1].strip() if model else platform.machine()
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {platform.system()}"


def with_table(readme: str, reference: Reference) -> str:
    """README's text with the reference's table between its two marks.

    Raises UserError where a mark is missing.
    """
    if not BLOCK.search(readme):
        raise UserError(f"{README}: no <!-- leaderboard --> … <!-- /leaderboard --> to write into")
    block = f"{table(reference)}\n"
    return BLOCK.sub(lambda found: found[1] + block + found[2], readme)


def table(reference: Reference) -> str:
    """The leaderboard in Markdown, and under which conditions it came about."""
    columns = [title(name)[0].lower() + title(name)[1:] for name in COLUMNS]
    lines = [
        f"| unit | method | {' | '.join(columns)} | recall | false alarms |",
        "|---" * (4 + len(COLUMNS)) + "|",
    ]
    unit = None
    for row in reference["rows"]:
        first = f" `{row['unit']}`" if row["unit"] != unit else ""
        rates = [percent(row["threshold"][rate]["mean"]) for rate in ("recall", "false_alarms")]
        cells = [marked(row), *(_cell(row, name) for name in COLUMNS), *rates]
        lines.append(f"|{first} | {' | '.join(cells)} |")
        unit = row["unit"]
    said = [
        *reference["conditions"],
        f"Made by `blemish run` and `blemish reference --write` on {reference['made']}:",
        f"{reference['machine']}.",
    ]
    return "\n".join([*lines, "", *textwrap.wrap(" ".join(said), WIDTH, break_on_hyphens=False)])


def _cell(row: Row, name: str) -> str:
    if name.startswith("pixel") and row["masks"] == "none":
        return NO_MASKS
    value = row["metrics"].get(name, {"mean": None, "std": None})
    text = number(value["mean"], name)
    if value["std"] is not None:
        text += f" ± {number(value['std'], name)}"
    bounds = spread(row["intervals"].get(name), name).replace("\N{NO-BREAK SPACE}", " ")
    shared = row["letters"].get(name)
    return " ".join(filter(None, (text, bounds, shared and f"<sup>{shared}</sup>")))
