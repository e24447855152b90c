"""What the page says about real defects for choosing: how they are judged, and what chose what."""

from typing import Any

from blemish.core.workspace import Run
from blemish.report.conditions import asked_rate
from blemish.report.tables import number, over_seeds, percent

Table = dict[str, Any]
Json = dict[str, Any]

NAMES = {"selection": "set apart by data.selection", "feedback": "confirmed in a review"}
CRITERIA = [  # where the number stands in metrics.json, its name, `tracking.promote_by`, in words
    ("validation", "image_auroc", "image_auroc", "rendered defects"),
    ("selection", "image_auroc", "selection_image_auroc", "real defects set apart"),
    ("selection", "recall", "selection_recall", "real defects set apart"),
]


def selection(runs: list[Run]) -> Table:
    """A method on the real defects for choosing, by slice, means over the seeds; no row without."""
    records = [run.record["selection"] for run in runs if "selection" in run.record]
    if len(records) < len(runs):
        return {"head": [], "rows": []}
    whole = [("all", records)] if len(records[0]["slices"]) > 1 else []
    parts = [(NAMES.get(name, name), [record["slices"][name] for record in records])
             for name in records[0]["slices"]]  # fmt: skip
    rows = [
        [title, str(each[0]["count"]), number(_mean(each, "image_auroc"), "image_auroc"),
         percent(_mean(each, "recall"))]
        for title, each in [*whole, *parts]
    ]  # fmt: skip
    head = ["Real defects for choosing, against validation normals", "Images", "Image AUROC",
            "Recall"]  # fmt: skip
    return {"head": head, "rows": rows}


def choices(groups: list[list[Run]]) -> Table | None:
    """Of a unit: what was chosen by what; None where no real defects are for choosing.

    groups: the runs of each method, all seeds.
    """
    runs = [run for group in groups for run in group]
    if not any("selection" in run.record for run in runs):
        return None
    rate = asked_rate(runs[0].record)
    rows = [["Thresholds", f"validation normals, for {rate} false alarms", "one a model"]]
    for part, name, criterion, words in CRITERIA:
        best = _best(runs, part, name)
        if best:
            value = number(best.record[part][name], "image_auroc")
            rows.append([f"Champion, were promote_by {criterion}",
                         f"{name} on {words} of validation" if part == "validation" else
                         f"{name} on {words}",
                         f"{best.method} seed {best.seed} ({value})"])  # fmt: skip
    rows.append(["Nothing", "the test set", "–"])
    return {"head": ["What chose what", "Chosen by", "Chosen"], "rows": rows}


def _best(runs: list[Run], part: str, name: str) -> Run | None:
    """The first run of the highest number, as `blemish promote` takes it."""
    known = [run for run in runs if run.record.get(part, {}).get(name) is not None]
    return max(known, key=lambda run: float(run.record[part][name]), default=None)


def _mean(entries: list[Json], name: str) -> float | None:
    mean: float | None = over_seeds(entry.get(name) for entry in entries)["mean"]
    return mean
