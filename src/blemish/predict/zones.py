"""Which zones an image has: those of a folder that the user names, else those of the model."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from blemish.core.errors import UserError
from blemish.images.framing import Framing, Size
from blemish.images.seen_zones import SeenZones, see
from blemish.images.zone_files import ZoneFiles
from blemish.images.zones import ZoneMap
from blemish.methods.saved import Record, load_zones
from blemish.predict.inputs import Source

MISSING = (
    "The model's unit has zones that are not the same on all images: without --zones all of each "
    "image is judged, as what is in no zone."
)


@dataclass
class ZoneSource:
    """The zones of the images of a run, as the network sees them.

    files: those of `--zones`, None without. shared: the one map of the model's unit, if there is
    one. has_zones: whether the model was trained with any. unfit: sizes (H, W) of the images
    that `shared` was not used for.
    """

    framing: Framing
    files: ZoneFiles | None
    shared: ZoneMap | None
    has_zones: bool
    unfit: list[Size] = field(default_factory=list)  # filled by several threads
    _last: dict[Size, SeenZones | None] = field(default_factory=dict, init=False)

    def of(self, name: str, size: Size) -> SeenZones | None:
        """The zones of an image of `size`, by its path without suffix; None where it has none.

        Raises UserError where a file of `--zones` does not fit.
        """
        if self.files is not None and self.files.has_own(name):
            return self._see(self.files.of(name, size))
        if self.shared is not None and self.shared.index.shape != size:
            self.unfit.append(size)
            return None
        last = self._last  # the images before mostly had the same size and zones
        if size not in last:
            zones = self.files.of(name, size) if self.files is not None else self.shared
            self._last = last = {size: self._see(zones)}
        return last[size]

    def _see(self, zones: ZoneMap | None) -> SeenZones | None:
        return see(zones, self.framing) if zones else None

    def notes(self) -> list[str]:
        """What must be said of zones that were not used."""
        if self.files is None and self.shared is None:
            return [MISSING] if self.has_zones else []
        if not self.unfit or self.shared is None:
            return []
        height, width = self.shared.index.shape
        return [
            f"{len(self.unfit)} image(s) are not {width}×{height} as the zones of the model: "
            "all of them is judged, as what is in no zone; --zones gives them zones."
        ]


def open_zones(
    folder: Path | None, model: Path, record: Record, sources: Sequence[Source]
) -> ZoneSource:
    """The zones of a run; folder: what `--zones` names.

    Raises UserError where the folder is missing, holds no zones, or a file in it is of a zone that
    the model does not know or of several images; or where the model's own zones are damaged.
    """
    known = record.zones is not None
    if folder is None:
        return ZoneSource(record.framing, None, load_zones(model, record), known)
    if not folder.is_dir():
        raise UserError(f"`--zones` is {str(folder)!r}: no such folder")
    files = ZoneFiles(folder, tuple(record.zones or ()))
    if not files:
        raise UserError(f"`--zones` is {str(folder)!r}, which holds no zones: see docs/data.md")
    names = Counter(source.name.stem for source in sources)
    for name, count in names.items():
        if count > 1 and files.has_own(name):
            raise UserError(
                f"{folder}: {count} images are called {name}: put the zones of each into folders "
                "as its image"
            )
    return ZoneSource(record.framing, files, None, known)
