"""lcdsim: displays rendered here, named and organised like AnoLCD."""

import dataclasses
from pathlib import Path
from typing import Any

from blemish.datasets.dataset import DataSet, Layout
from blemish.datasets.displays.options import CATEGORIES, LcdsimOptions
from blemish.datasets.layouts.mvtec_folders import mvtec_items


def fetch(category: str, options: dict[str, Any], folder: Path) -> None:
    """Render one category."""
    from blemish.datasets.displays.render import render_set

    render_set(folder, category, LcdsimOptions(**options))


def layout(folder: Path, category: str) -> Layout:  # noqa: ARG001
    """MVTec folders with pixel masks."""
    note = "lcdsim is rendered, not photographed: its numbers say nothing about real displays."
    return Layout(mvtec_items(folder), masks="pixel", notes=(note,))


def options(data: Any) -> dict[str, Any]:
    """`data.lcdsim` of params.yaml: it decides every pixel."""
    values = data.lcdsim.model_dump()
    return {field.name: values[field.name] for field in dataclasses.fields(LcdsimOptions)}


DATA_SET = DataSet(
    name="lcdsim",
    title="Rendered displays seen by an inspection camera",
    categories=CATEGORIES,
    licence="as Blemish",
    citation="Blemish's own renderer",
    home="",
    fetch=fetch,
    layout=layout,
    options=options,
)
