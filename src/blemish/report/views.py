"""What the page says about a method on a unit: sentences, tables, captions. Text only, no files."""

from typing import Any

from blemish.core.data_params import REST
from blemish.core.workspace import Run
from blemish.metrics.table import GLASS_PRO, Place, is_further, shown_in, title
from blemish.report.conditions import asked_rate
from blemish.report.tables import known, number, over_seeds, percent

Table = dict[str, Any]

KINDS = {
    "missed": ("Hardest defects", "Defective images with the lowest scores."),
    "false_alarm": ("Most suspicious good images", "Good images with the highest scores."),
    "found": ("Clearest defects", "Defective images with the highest scores."),
    "quiet": ("Most normal images", "Good images with the lowest scores."),
}
AREAS = {"q1": "smallest", "q2": "second", "q3": "third", "q4": "largest"}
# Slices of synthetic defects on held-out normals: the prefix before β, or before visibility.
WEAK, VISIBILITY = "weak-", "visibility-"


def about_unit(run: Run) -> list[tuple[str, str]]:
    """The unit's counts and annotation as (label, value)."""
    counts = run.record["counts"]
    kinds = [defect for defect in run.record["by_defect"] if defect != "good"]
    masks = {
        "pixel": "pixel masks",
        "boxes": "masks drawn from boxes",
        "polygons": "masks drawn from polygons",
        "none": "image labels only",
    }
    resolution = [("pixel metrics", f"at {run.record['resolution']} resolution")]
    return [
        ("training", f"{counts['train']} good"),
        ("validation", f"{counts['val']} good"),
        ("test", f"{counts['test_good']} good, {counts['test_defective']} defective"),
        ("defect types", str(len(kinds))),
        ("annotation", masks[run.record["masks"]]),
        *(resolution if run.record["masks"] != "none" else []),
    ]


def notes(runs: list[Run]) -> list[str]:
    """Every note of a unit's runs once."""
    return list(dict.fromkeys(note for run in runs for note in run.record["notes"]))


def operating_point(run: Run, several: bool) -> str:
    """What the threshold from validation normals does on the test set, in words."""
    at, counts = run.record["threshold"], run.record["counts"]
    if "zones" in run.record:
        seed = f"Seed {run.seed}: " if several else ""
        return f"{seed}each zone at its threshold, set on validation normals: {_done(at, counts)}"
    seed = f"Seed {run.seed}: at" if several else "At"
    return (
        f"{seed} threshold {at['image']:.4g}, set on {at['validation_normals']} validation "
        f"normals for {asked_rate(run.record)} false alarms ({_expected(at)}): {_done(at, counts)}"
    )


def _done(at: dict[str, Any], counts: dict[str, int]) -> str:
    return (
        f"recall {percent(at['recall'])} of {counts['test_defective']} defective images, false "
        f"alarms on {percent(at['test_false_alarm_rate'])} of {counts['test_good']} good ones; "
        f"precision {percent(at['precision'])}, accuracy {percent(at['accuracy'])}."
    )


def _expected(at: dict[str, Any]) -> str:
    low, high = percent(at["rate_low"]), percent(at["rate_high"])
    return (
        f"on new normals {percent(at['expected_rate'])} are to be expected, 95 %: {low} to {high}"
    )


def validation_note(runs: list[Run]) -> str | None:
    """How the method does on the synthetic validation set, None where that was not measured."""
    values = over_seeds(run.record.get("validation", {}).get("image_auroc") for run in runs)
    if values["mean"] is None:
        return None
    return f"Image AUROC on the synthetic validation set: {number(values['mean'])}."


def defects(runs: list[Run]) -> Table:
    """Per defect type: number of images and metrics, means over the seeds."""
    names = [name for name in runs[0].record["by_defect"] if name != "good"]
    return _table("Defect type", runs, "by_defect", names)


def subsets(runs: list[Run]) -> Table:
    """The named subsets of the test set, weak defects aside."""
    names = [name for name in runs[0].record["slices"] if not name.startswith((WEAK, VISIBILITY))]
    return _table("Subset", runs, "slices", names)


def oracle(runs: list[Run]) -> Table:
    """What the authors' practice on the test set adds; empty if not asked for."""
    parts = [run.record["oracle"] for run in runs if "oracle" in run.record]
    if len(parts) < len(runs):
        return {"head": [], "rows": []}
    rows = []
    for name in parts[0]["last"]:
        last = over_seeds(part["last"][name] for part in parts)["mean"]
        best = over_seeds(part["metrics"][f"oracle_{name}"] for part in parts)["mean"]
        added = "–" if last is None or best is None else f"{best - last:+.3f}"
        rows.append([_title(name), number(last, name), number(best, name), added])
    first = f"Authors' protocol (oracle): {parts[0]['practice']}"
    if parts[0]["epochs"]:
        epochs = ", ".join(str(part["epoch"]) for part in parts)
        first += f", epoch {epochs} of {parts[0]['epochs']} kept"
    return {"head": [first, "As trained", "Oracle", "Added"], "rows": rows}


def areas(runs: list[Run]) -> Table:
    """The quarters of the defective images by the share of the image that is defective."""
    quarters = runs[0].record.get("by_area", {})
    table = _table("Defect area", runs, "by_area", list(quarters))
    for row in table["rows"]:
        low, high = (100 * quarters[row[0]][end] for end in ("area_from", "area_to"))
        row[0] = f"{AREAS[row[0]]} quarter, {low:.2g}–{high:.2g}\N{NO-BREAK SPACE}%"
    return table


def zones(runs: list[Run]) -> Table:
    """The zones, their tolerances and thresholds, and what these do on the test set.

    Rates are means over the seeds, thresholds those of each seed. Empty where no zone has a name.
    """
    rows = []
    named = runs[0].record["zones"] if all("zones" in run.record for run in runs) else {}
    for name, first in sorted(named.items(), key=lambda zone: zone[0] == REST):
        each = [run.record["zones"][name] for run in runs]
        rates = ("test_false_alarm_rate", "recall")
        false, recall = (over_seeds(zone[rate] for zone in each)["mean"] for rate in rates)
        rows.append([
            name,
            f"{100 * first['false_alarm_rate']:g}\N{NO-BREAK SPACE}%",
            f"{first['min_area']}\N{NO-BREAK SPACE}px" if first["min_area"] else "–",
            str(first["validation_normals"]),
            ", ".join(f"{zone['threshold']:.4g}" for zone in each),
            f"{percent(false)} of {first['test_good']}",
            f"{percent(recall)} of {first['defective']}",
        ])  # fmt: skip
    head = [
        *("Zone", "False alarms allowed", "Smallest region", "Validation normals"),
        *("Threshold", "False alarms", "Recall of defects there"),
    ]
    return {"head": head, "rows": rows}


def weak_points(runs: list[Run], prefix: str = WEAK) -> list[tuple[float, float]]:
    """(β or visibility, image AUROC averaged over seeds) of the weak-defect sets, sorted."""
    points = []
    for name in runs[0].record["slices"]:
        if name.startswith(prefix):
            slices = (run.record["slices"].get(name, {}) for run in runs)
            mean = over_seeds(part.get("image_auroc") for part in slices)["mean"]
            if mean is not None:
                points.append((float(name.removeprefix(prefix)), mean))
    return sorted(points)


def caption(entry: dict[str, Any], threshold: float) -> dict[str, str]:
    """What to print under a heat map: verdict, defect type, score."""
    alarm = entry.get("alarm", entry["score"] > threshold)
    if entry["label"]:
        verdict = "found" if alarm else "missed"
    else:
        verdict = "false alarm" if alarm else "passed"
    return {
        "verdict": verdict,
        "right": "right" if alarm == bool(entry["label"]) else "wrong",
        "defect": str(entry["defect"]),
        "score": f"{entry['score']:.4g}",
        "image": str(entry["image"]),
    }


def _table(first: str, runs: list[Run], key: str, names: list[str]) -> Table:
    """Headings and rows of text; a column that no entry has is left out."""
    parts = {name: [run.record.get(key, {}).get(name, {}) for run in runs] for name in names}
    present = {column for entries in parts.values() for entry in entries for column in entry}
    numbers = [c for c in shown_in(Place.DETAIL, present) if c in present and not is_further(c)]
    images = [column for column in numbers if not known(column).needs_masks]
    pixels = [column for column in numbers if known(column).needs_masks]
    used = [*images, *(["recall"] if "recall" in present else []), *pixels]
    rows = []
    for name, entries in parts.items():
        means = {c: over_seeds(entry.get(c) for entry in entries)["mean"] for c in used}
        texts = [percent(m) if c == "recall" else number(m, c) for c, m in means.items()]
        rows.append([name, str(entries[0].get("count", "–")), *texts])
    return {"head": [first, "Images", *map(_title, used)], "rows": rows}


def _title(column: str) -> str:
    others = {"recall": "Recall at threshold", GLASS_PRO: "PRO as GLASS's code computes it"}
    return others.get(column) or title(column)
