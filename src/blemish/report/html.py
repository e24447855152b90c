"""The pages: report/index.html and its pictures, relative paths only, nothing from the network.

A few units are sections of index.html; of many each has a page of its own.
"""

import re
from pathlib import Path
from urllib.parse import quote, unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from blemish.core.progress import progress
from blemish.core.scoring_times import digest_of
from blemish.core.workspace import Run, preview
from blemish.methods.registry import METHODS
from blemish.metrics.table import Place, heading, is_in, shown_in
from blemish.report import choices, figures, literature, views
from blemish.report.conditions import conditions
from blemish.report.gallery import Assets, View, write_animation, write_figures, write_pictures
from blemish.report.tables import (
    MARK,
    NO_MASKS,
    Row,
    best_methods,
    by_unit_and_method,
    known,
    leaderboard,
    marked,
    mean_over_units,
    metric_names,
    number,
    percent,
    rates_of,
    spread,
)

# The columns that are shown before a reader chooses others: they fit 1,280 px without scrolling.
SHOWN, FURTHER = (Place.METHOD, Place.DETAIL), {"precision"}
TEMPLATES = Path(__file__).parent / "templates"


ON_ONE_PAGE = 6  # units; a browser draws as many at once without a wait


def write_page(folder: Path, runs: list[Run], synthetic: Path) -> None:
    """Fill `folder` with index.html, assets/ and, where there are many units, a page for each.

    `synthetic` holds <unit>/preview.png. Raises UserError where an input is missing or broken.
    """
    rows, environment = leaderboard(runs), _environment()
    groups = by_unit_and_method(runs)
    units = list(dict.fromkeys(unit for unit, _ in groups))
    many = len(units) > ON_ONE_PAGE
    addresses = {unit: _address(unit, many) for unit in units}
    listed = [
        {"name": unit, "address": addresses[unit], "best": _best(rows, unit)} for unit in units
    ]
    sections = []
    for unit in progress(units, "report", len(units), "unit"):
        members = [group for (name, _), group in groups.items() if name == unit]
        of_unit = [row for row in rows if row["unit"] == unit]
        sections.append(_section(Assets(folder, f"assets/{unit}"), members, of_unit, synthetic))
        if many:
            page = folder / unquote(addresses[unit])
            page.parent.mkdir(parents=True, exist_ok=True)
            template = environment.get_template("unit.html.j2")
            text = template.render(title=unit, units=listed, section=sections.pop())
            page.write_text(text, encoding="utf-8")
    text = environment.get_template("index.html.j2").render(
        title="Blemish report",
        units=listed,
        addresses=addresses,
        sections=sections,
        described=_described(folder.parent, runs),
        leaderboard=_leaderboard(rows, groups),
        **_facts(runs),
    )
    (folder / "index.html").write_text(text, encoding="utf-8")


def _address(unit: str, many: bool) -> str:
    """What links to a unit: its page below units/, or its section."""
    return f"units/{quote(unit)}.html" if many else f"#{_anchor(unit)}"


def _best(rows: list[Row], unit: str) -> float | None:
    metrics = [row["metrics"].get("image_auroc", {}) for row in rows if row["unit"] == unit]
    return max((m["mean"] for m in metrics if m.get("mean") is not None), default=None)


def _facts(runs: list[Run]) -> View:
    """What is said above and below the leaderboard."""
    return {
        "conditions": conditions(runs),
        "methods": list(dict.fromkeys(run.method for run in runs)),
        "seeds": sorted({run.seed for run in runs}),
        "protocols": list(dict.fromkeys(run.record["protocol"] for run in runs)),
        "resolutions": list(dict.fromkeys(run.record["resolution"] for run in runs)),
        "no_masks": NO_MASKS,
    }


def _described(project: Path, runs: list[Run]) -> list[View]:
    """What each method is; its page, where the folder in which the report lies has one."""
    found = []
    for name in dict.fromkeys(run.method for run in runs if run.method in METHODS):
        names = (name, name.partition("_")[0])  # dlas_lcd is described beside dlas
        pages = (f"docs/methods/{page}.md" for page in names)
        page = next((page for page in pages if (project / page).is_file()), None)
        entry = METHODS[name]
        found.append({
            "name": name, "title": entry.title, "reference": entry.reference,
            "page": page and f"../{page}",
        })  # fmt: skip
    return found


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # names of units and defects come from users' folders
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number, percent=percent, spread=spread, anchor=_anchor, marked=marked
    )
    return environment


def _anchor(unit: str) -> str:
    return "unit-" + re.sub(r"[^\w.-]+", "-", unit)


def _leaderboard(rows: list[Row], groups: dict[tuple[str, str], list[Run]]) -> View:
    names, rates = metric_names(rows), rates_of(rows)
    methods = dict.fromkeys(row["method"] for row in rows)
    several = len({row["unit"] for row in rows}) > 1
    columns = {
        "Images": {name: heading(name) for name in names if not known(name).needs_masks},
        "Pixels": {name: heading(name) for name in names if known(name).needs_masks},
        "At the threshold": rates,
    }
    return {
        "rows": rows,
        "image": [name for name in names if not known(name).needs_masks],
        "pixel": [name for name in names if known(name).needs_masks],
        "headings": {name: heading(name) for name in names},
        "best": {name: best_methods(rows, name) for name in names},
        "means": {
            method: {name: mean_over_units(rows, method, name) for name in names}
            | {name: mean_over_units(rows, method, name, "threshold") for name in rates}
            for method in methods
            if several
        },
        "models": {
            key: " ".join(digest_of(run.model) for run in group) for key, group in groups.items()
        },
        "rates": rates,
        "optional": [*names, *rates],
        "shown": [name for name in names if any(is_in(name, place) for place in SHOWN)]
        + [name for name in rates if name not in FURTHER],
        "choices": {title: texts for title, texts in columns.items() if texts},
    }


def _section(assets: Assets, members: list[list[Run]], rows: list[Row], synthetic: Path) -> View:
    first = members[0][0]
    aurocs = [row["metrics"].get("image_auroc", {}).get("mean") or 0.0 for row in rows]
    best = aurocs.index(max(aurocs))
    return {
        "unit": first.unit,
        "about": views.about_unit(first),
        "notes": views.notes([run for group in members for run in group]),
        "preview": assets.picture(preview(synthetic, first.unit), "preview.png"),
        "published": literature.beside_ours(first.unit, rows),
        "sensitivity": _sensitivity(assets, members),
        "choices": choices.choices(members),
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


def _sensitivity(assets: Assets, members: list[list[Run]]) -> list[View]:
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


def _method(assets: Assets, runs: list[Run], row: Row) -> View:
    first = runs[0]
    groups = write_pictures(assets, first)
    return {
        "name": first.method,
        "row": row,
        "headline": {
            name: f"{known(name).kind} {heading(name)}"
            for name in shown_in(Place.METHOD, row["metrics"])
            if name in row["metrics"]
        },
        "warnings": [
            f"{MARK} seed {run.seed}: {run.record['warning']}"
            for run in runs
            if run.record["warning"]
        ],
        "operating_points": [views.operating_point(run, len(runs) > 1) for run in runs],
        "validation": views.validation_note(runs),
        "figures": write_figures(assets, runs),
        "tables": [
            table
            for make in (
                *(views.zones, views.defects, choices.selection),
                *(views.areas, views.subsets, views.oracle),
            )
            if (table := make(runs))["rows"]
        ],
        "missed": [group for group in groups if group["kind"] == "missed"],
        "pictures": [group for group in groups if group["kind"] != "missed"],
        "animation": write_animation(assets, first),
        "seed": first.seed if len(runs) > 1 else None,
    }
