"""What the authors of a method published for a unit, beside what was measured here.

`published/results.csv`: method, variant, unit, metric, value, source, protocol; transcribed from
the publications named in it.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from blemish.report.tables import Row, heading, number

FILE = Path(__file__).parent / "published" / "results.csv"


@cache
def results() -> pd.DataFrame:
    """All published numbers, values in [0, 1]; an empty variant is "" ."""
    return pd.read_csv(FILE, keep_default_na=False)


def beside(unit: str, rows: list[Row]) -> dict[str, Any] | None:
    """A table of our means and the published numbers of one unit, with what sets them apart.

    None where nothing is published for the unit and the methods of `rows`.
    """
    lines, protocols = [], {}
    for row in rows:
        known = results()
        own = known[(known["unit"] == unit) & (known["method"] == row["method"])]
        for entry in own.itertuples():
            mean = row["metrics"].get(str(entry.metric), {}).get("mean")
            difference = "–" if mean is None else f"{mean - float(entry.value):+.3f}"
            kind = str(entry.metric).partition("_")[0].capitalize()
            name = f"{row['method']} {entry.variant}".strip()
            title = f"{kind} {heading(str(entry.metric))}"
            lines.append([name, title, number(mean), f"{entry.value:.3f}", difference])
            protocols[str(entry.source)] = str(entry.protocol)
    if not lines:
        return None
    return {
        "head": ["Method", "Metric", "Here", "Published", "Difference"],
        "rows": lines,
        "sources": [f"{source}: {protocol}." for source, protocol in protocols.items()],
        "warning": _warning(rows[0]),
    }


def _warning(row: Row) -> str:
    size = "×".join(map(str, row["input_size"]))
    return (
        f"Here: protocol {row['protocol']}, {size} px input, pixel metrics at {row['resolution']} "
        "resolution. Published numbers were taken under the protocol named below; where it chose "
        "on the test set they are higher for that alone."
    )
