"""Sentences below every leaderboard: under which conditions its numbers came about."""

from collections.abc import Iterable
from typing import Any

from blemish.core.completeness import missing_parts
from blemish.core.workspace import Run
from blemish.report.tables import MARK, Row, leaderboard, training_free

SHARED = (
    "Methods of a unit that share a letter behind a number do not differ significantly in it "
    "(paired bootstrap, 95 %)."
)


def conditions(runs: list[Run]) -> list[str]:
    """Sentences that say under which conditions the numbers of these runs came about."""
    seeds = sorted({run.seed for run in runs})
    listed = ", ".join(map(str, seeds))
    over = f"± is the sample standard deviation over seeds {listed}" if len(seeds) > 1 else ""
    rates = _distinct(asked_rate(run.record) for run in runs)
    boxed = _distinct(run.unit for run in runs if run.record["masks"] == "boxes")
    masked = [run for run in runs if run.record["masks"] != "none"]
    resolution = _distinct(run.record["resolution"] for run in masked)
    sentences = [
        f"Protocol: {_distinct(run.record['protocol'] for run in runs)}.",
        f"Pixel metrics at {resolution} resolution." if masked else "No unit has masks.",
        f"{len(seeds)} seeds: {over}." if over else f"1 seed ({listed}): no spread is known.",
        f"Threshold set on validation normals for {rates} false alarms; recall and false alarms "
        "are measured on the test set.",
    ]
    if any(len(run.draws.columns) for run in runs):
        sentences.append("In brackets: 95 % intervals over test images (bootstrap).")
    sentences += [
        f"{name} is a training-free reference."
        for name in dict.fromkeys(run.method for run in runs)
        if training_free(name)
    ]
    rows = leaderboard(runs)
    if any(row["letters"] for row in rows):
        sentences.append(SHARED)
    sentences += doubtful(rows)
    if boxed:
        sentences.append(f"Masks drawn from boxes, pixel metrics not comparable: {boxed}.")
    return sentences + incomplete(runs)


def incomplete(runs: list[Run]) -> list[str]:
    """A sentence for each unit that is not what its publisher describes."""
    notes = {run.unit: missing_parts(run.record["notes"]) for run in runs}
    return [
        f"Not as published: {unit} ({' '.join(found)})" for unit, found in notes.items() if found
    ]


def doubtful(rows: list[Row]) -> list[str]:
    """A sentence that says what the mark in the leaderboard means, where there is one."""
    marked = [f"{row['method']} on {row['unit']}" for row in rows if row["doubtful"]]
    if not marked:
        return []
    return [
        f"{MARK} {', '.join(marked)}: some seed does not even find the rendered validation "
        "defects, so do not rely on it; its notes say what to try."
    ]


def asked_rate(record: dict[str, Any]) -> str:
    """The false-alarm rate that the threshold was set for."""
    return f"{100 * record['threshold']['false_alarm_rate']:g}\N{NO-BREAK SPACE}%"


def _distinct(values: Iterable[object]) -> str:
    return " and ".join(dict.fromkeys(map(str, values)))
