"""What a shape gives of a folder."""

from dataclasses import dataclass, field
from pathlib import Path

from blemish.datasets.dataset import Item


@dataclass
class Reading:
    """The items; how exact their masks are; notes; and the files that were of use, relative."""

    items: list[Item]
    masks: str
    notes: list[str] = field(default_factory=list)
    used: set[Path] = field(default_factory=set)
