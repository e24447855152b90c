"""lcdsim: displays rendered here, named and organised like AnoLCD."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blemish.datasets.dataset import DataSet, Layout
from blemish.datasets.displays.options import CATEGORIES, LcdsimOptions
from blemish.datasets.layouts.mvtec_folders import mvtec_items


def with_options(options: Mapping[str, Any]) -> tuple[DataSet, ...]:
    """The data set with the settings of `data.lcdsim` in params.yaml, which decide every pixel."""
    rendered = LcdsimOptions(**options)

    def fetch(category: str, folder: Path) -> None:
        from blemish.datasets.displays.render import render_set

        render_set(folder, category, rendered)

    return (
        DataSet(
            name="lcdsim",
            title="Rendered displays, camera view",
            categories=CATEGORIES,
            licence="as Blemish",
            citation="Blemish's own renderer",
            home="",
            fetch=fetch,
            layout=layout,
        ),
    )


def layout(folder: Path, _category: str) -> Layout:
    """MVTec folders with pixel masks."""
    note = "lcdsim is rendered, not photographed: its numbers say nothing about real displays."
    return Layout(mvtec_items(folder), masks="pixel", notes=(note,))


DATA_SETS = with_options({})
