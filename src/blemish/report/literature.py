"""What the authors of a method published for a unit, beside what was measured here.

`literature/results.csv`: method, variant, unit, metric, value, source, protocol; transcribed from
the publications named in it.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from blemish.metrics.table import title
from blemish.report.tables import Row, number

FILE = Path(__file__).parent / "literature" / "results.csv"


@cache
def published_results() -> pd.DataFrame:
    """All published numbers, values in [0, 1]; an empty variant is "" ."""
    return pd.read_csv(FILE, keep_default_na=False)


def beside_ours(unit: str, rows: list[Row]) -> dict[str, Any] | None:
    """A table of our means and the published numbers of one unit, with what sets them apart.

    None where nothing is published for the unit and the methods of `rows`.
    """
    lines, protocols = [], {}
    for row in rows:
        known = published_results()
        published = known[(known["unit"] == unit) & (known["method"] == row["method"])]
        for entry in published.itertuples():
            metric, value = str(entry.metric), float(str(entry.value))
            mean = row["metrics"].get(metric, {}).get("mean")
            difference = "–" if mean is None else f"{mean - value:+.3f}"
            name = f"{row['method']} {entry.variant}".strip()
            here = (number(mean, metric), number(value, metric))
            lines.append([name, title(metric), *here, difference])
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
