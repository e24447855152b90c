"""What the proof found, written after each item, and the time that each part may take."""

import json
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blemish.core.errors import UserError
from blemish.core.files import finished_file, write_json

RESULTS, TABLE = "results.json", "table.md"
HEAD = "| item | seconds | within bounds | figures |\n|---|---|---|---|\n"
Figures = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """A measurement. work: given the time (`time.monotonic`) at which it should end, its figures;
    `within` among them says whether they are as they must be."""

    name: str
    work: Callable[[float], Figures]


@dataclass
class Record:
    """The results of a folder.

    An item that has figures is not done again; one that failed is.
    """

    folder: Path
    content: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, earlier: Path | None, machine: Figures) -> "Record":
        """earlier: the folder of results to go on from; None begins anew."""
        content = read_results(earlier) if earlier else {"machine": machine, "items": {}}
        before = content["machine"].get("device")
        if before != machine.get("device"):
            raise UserError(
                f"{earlier}/{RESULTS}: measured on {before}, and this is {machine.get('device')}: "
                "begin anew, without --continue"
            )
        record = cls(folder, content)
        record.write()
        return record

    def finished(self, name: str) -> bool:
        return "figures" in self.content["items"].get(name, {})

    def keep(self, name: str, seconds: float, **found: Any) -> None:
        self.content["items"][name] = {"seconds": round(seconds, 2), **found}
        self.write()

    def write(self) -> None:
        with finished_file(self.folder / RESULTS) as temporary:
            write_json(temporary, self.content)
        with finished_file(self.folder / TABLE) as temporary:
            temporary.write_text(HEAD + "".join(map(self.line, self.content["items"])), "utf-8")

    def line(self, name: str) -> str:
        """An item's row of the table."""
        found = self.content["items"][name]
        figures = found.get("figures", {"failed": found.get("error")})
        shown = ", ".join(f"{key} {_shown(value)}" for key, value in figures.items())
        within = {True: "yes", False: "**no**"}.get(figures.get("within"), "")
        return f"| {name} | {found['seconds']:.1f} | {within} | {shown} |\n"

    @property
    def faults(self) -> list[str]:
        """The items that failed or are not as they must be."""
        return [
            name
            for name, found in self.content["items"].items()
            if "error" in found or found["figures"].get("within") is False
        ]


def read_results(folder: Path) -> dict[str, Any]:
    """Raises UserError where there are none."""
    try:
        content: dict[str, Any] = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        content["machine"], content["items"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / RESULTS}: no results of benchmarks/gpu.py ({type(error).__name__}): name "
            "the folder that was its --out"
        ) from None
    return content


def run_part(name: str, items: Iterable[Item], record: Record, end: float) -> None:
    """Do a part's items in order until the time `end`; what is left is said."""
    for item in items:
        full = f"{name}/{item.name}"
        if record.finished(full):
            print(f"{full}: finished before", flush=True)
        elif time.monotonic() >= end:
            print(f"{full}: not begun, the part's time is over", flush=True)
        else:
            print(f"{full} …", flush=True)
            run_item(full, item, record, end)


def run_item(name: str, item: Item, record: Record, end: float) -> None:
    """One item; a failure is kept and ends no other one."""
    begin = time.monotonic()
    try:
        figures = item.work(end)
    except Exception as error:
        traceback.print_exc()
        told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        record.keep(name, time.monotonic() - begin, error=told)
    else:
        record.keep(name, time.monotonic() - begin, figures=figures)
    print(record.line(name), end="", flush=True)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return f"{len(value)} rows, last {value[-1] if value else 'none'}"
    if isinstance(value, dict):
        return " ".join(["(", *(f"{key} {_shown(each)}" for key, each in value.items()), ")"])
    return str(value)
