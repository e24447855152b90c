"""The page: report/index.html and its pictures, relative paths only, nothing from the network."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from blemish.core.files import link
from blemish.core.progress import progress
from blemish.core.workspace import Run, preview
from blemish.metrics.table import TABLE, Place, heading, shown_in
from blemish.report import figures, literature, views
from blemish.report.tables import (
    NO_MASKS,
    RATES,
    Row,
    best_methods,
    by_unit_and_method,
    conditions,
    known,
    leaderboard,
    mean_over_units,
    metric_names,
    number,
    percent,
    spread,
)

TEMPLATES = Path(__file__).parent / "templates"
View = dict[str, Any]


def write_page(folder: Path, runs: list[Run], synthetic: Path) -> None:
    """Fill `folder` with index.html and assets/.

    `synthetic` holds <unit>/preview.png. Raises UserError where an input is missing or broken.
    """
    rows = leaderboard(runs)
    groups = by_unit_and_method(runs)
    units = dict.fromkeys(unit for unit, _ in groups)
    sections = []
    for unit in progress(units, "report", len(units), "unit"):
        members = [group for (name, _), group in groups.items() if name == unit]
        of_unit = [row for row in rows if row["unit"] == unit]
        sections.append(_section(_Assets(folder, f"assets/{unit}"), members, of_unit, synthetic))
    text = (
        _environment()
        .get_template("index.html.j2")
        .render(
            sections=sections,
            leaderboard=_leaderboard(rows),
            conditions=conditions(runs),
            methods=list(dict.fromkeys(run.method for run in runs)),
            seeds=sorted({run.seed for run in runs}),
            protocols=list(dict.fromkeys(run.record["protocol"] for run in runs)),
            resolutions=list(dict.fromkeys(run.record["resolution"] for run in runs)),
            no_masks=NO_MASKS,
        )
    )
    (folder / "index.html").write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class _Assets:
    """A folder of pictures below the page's; what it adds, it returns ready for an <img>."""

    page: Path
    base: str

    def below(self, name: str) -> "_Assets":
        return _Assets(self.page, f"{self.base}/{name}")

    def svg(self, name: str, text: str, title: str, alt: str) -> View:
        path = self.page / self.base / f"{name}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return {"src": quote(f"{self.base}/{name}.svg"), "title": title, "alt": alt}

    def picture(self, source: Path, name: str) -> View:
        with Image.open(source) as image:
            width, height = image.size
        link(source, self.page / self.base / name)
        return {"src": quote(f"{self.base}/{name}"), "width": width, "height": height}


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # names of units and defects come from users' folders
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, percent=percent, spread=spread, anchor=_anchor)
    return environment


def _anchor(unit: str) -> str:
    return "unit-" + re.sub(r"[^\w.-]+", "-", unit)


def _leaderboard(rows: list[Row]) -> View:
    names = metric_names(rows)
    methods = dict.fromkeys(row["method"] for row in rows)
    several = len({row["unit"] for row in rows}) > 1
    return {
        "rows": rows,
        "image": [name for name in names if not known(name).needs_masks],
        "pixel": [name for name in names if known(name).needs_masks],
        "headings": {name: heading(name) for name in names},
        "best": {name: best_methods(rows, name) for name in names},
        "means": {
            method: {name: mean_over_units(rows, method, name) for name in names}
            | {name: mean_over_units(rows, method, name, "threshold") for name in RATES}
            for method in methods
            if several
        },
        "rates": {name: title for name, (_, title) in RATES.items()},
    }


def _section(assets: _Assets, members: list[list[Run]], rows: list[Row], synthetic: Path) -> View:
    first = members[0][0]
    aurocs = [row["metrics"].get("image_auroc", {}).get("mean") or 0.0 for row in rows]
    best = aurocs.index(max(aurocs))
    return {
        "unit": first.unit,
        "best": max(aurocs) or None,
        "about": views.about_unit(first),
        "notes": views.notes([run for group in members for run in group]),
        "preview": assets.picture(preview(synthetic, first.unit), "preview.png"),
        "published": literature.beside_ours(first.unit, rows),
        "sensitivity": _sensitivity(assets, members),
        "methods": [
            _method(assets.below(group[0].method), group, row) | {"open": index == best}
            for index, (group, row) in enumerate(zip(members, rows, strict=True))
        ],
    }


# Prefix of the slices, title, axis, whether defects get clearer along it.
SENSITIVITY = [
    (views.WEAK, "Blended defects (right: fainter)", "β, weight of the normal image", False),
    (views.VISIBILITY, "Shaded defects (right: fainter)", "visibility, 1 is 4 σ of noise", True),
]


def _sensitivity(assets: _Assets, members: list[list[Run]]) -> list[View]:
    """A curve for each way of making synthetic defects weaker that was evaluated."""
    drawn = []
    for prefix, title, label, falling in SENSITIVITY:
        points = {group[0].method: views.weak_points(group, prefix) for group in members}
        lines = {method: line for method, line in points.items() if line}
        if lines:
            alt = f"Image AUROC on ever fainter synthetic defects, {members[0][0].unit}"
            svg = figures.sensitivity(lines, label, falling)
            drawn.append(assets.svg(f"sensitivity-{prefix.rstrip('-')}", svg, title, alt))
    return drawn


def _method(assets: _Assets, runs: list[Run], row: Row) -> View:
    first = runs[0]
    return {
        "name": first.method,
        "row": row,
        "headline": {
            name: f"{known(name).kind} {heading(name)}"
            for name in shown_in(Place.METHOD, row["metrics"])
            if name in row["metrics"]
        },
        "operating_points": [views.operating_point(run, len(runs) > 1) for run in runs],
        "validation": views.validation_note(runs),
        "figures": _figures(assets, runs),
        "tables": [
            table
            for table in (
                views.defects(runs),
                views.areas(runs),
                views.subsets(runs),
                views.oracle(runs),
            )
            if table["rows"]
        ],
        "pictures": _pictures(assets, first),
        "animation": _animation(assets, first),
        "seed": first.seed if len(runs) > 1 else None,
    }


def _figures(assets: _Assets, runs: list[Run]) -> list[View]:
    first, points = runs[0], [run.record["threshold"] for run in runs]
    rates = [(at["test_false_alarm_rate"], at["recall"]) for at in points]
    precisions = [(at["recall"], at["precision"]) for at in points]
    curves = {
        name: {run.seed: run.curve(name, x, y) for run in runs}
        for name, x, y in (("roc", "fpr", "tpr"), ("pr", "recall", "precision"))
    }
    scores = first.scores().query("headline")
    good, defective = (scores.loc[scores["label"] == label, "score"].tolist() for label in (0, 1))
    histogram = figures.score_histogram(good, defective, first.record["threshold"]["image"])
    drawn = [
        ("scores", histogram, "Scores" + (f", seed {first.seed}" if len(runs) > 1 else "")),
        ("roc", figures.roc(curves["roc"], rates), "ROC, images"),
        ("pr", figures.precision_recall(curves["pr"], precisions), "Precision and recall, images"),
    ]
    aupro = TABLE["pixel_aupro"]
    if any(value is not None and known(name) is aupro for name, value in first.metrics.items()):
        overlap = {run.seed: run.curve("pro", "fpr", "pro") for run in runs}
        drawn.append(("pro", figures.per_region_overlap(overlap), "Per-region overlap, pixels"))
    training = {run.seed: run.training_curves() for run in runs}
    columns = (str(name) for table in training.values() for name in table)
    names = [name for name in dict.fromkeys(columns) if name != "epoch"]
    losses = [name for name in names if name.startswith("loss")]
    others = [name for name in names if not name.startswith("loss")]
    if losses:
        drawn.append(("training", figures.training(training, losses), "Training losses"))
    if others:
        drawn.append(("progress", figures.training(training, others), "Training progress"))
    return [
        assets.svg(name, svg, title, f"{title}: {first.method} on {first.unit}")
        for name, svg, title in drawn
    ]


def _pictures(assets: _Assets, run: Run) -> list[View]:
    """The heat maps of one run in groups of one kind, in the order of `views.KINDS`."""
    threshold = run.record["threshold"]["image"]
    entries = run.heatmaps()
    groups = []
    for kind, (title, text) in views.KINDS.items():
        items = [
            assets.picture(run.results / entry["file"], entry["file"])
            | views.caption(entry, threshold)
            | {"views": [_view(assets, run, view) for view in entry["views"]]}
            for entry in entries
            if entry["kind"] == kind
        ]
        if items:
            text = f"{text} Threshold {threshold:.4g}."
            groups.append({"title": title, "text": text, "items": items})
    return groups


def _animation(assets: _Assets, run: Run) -> View | None:
    """The GIF of one run, with a still for readers who want no motion."""
    source = run.animation()
    if source is None:
        return None
    still = assets.page / assets.base / "animation.png"
    still.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as frames:
        frames.convert("RGB").save(still)
        count = getattr(frames, "n_frames", 1)
    view = assets.picture(source, "animation.gif")
    return view | {"still": quote(f"{assets.base}/animation.png"), "frames": count}


def _view(assets: _Assets, run: Run, view: dict[str, str]) -> View:
    return assets.picture(run.results / view["file"], view["file"]) | {"caption": view["caption"]}
