"""A new threshold without training: the scores of confirmed good images join those of validation.

Images are picked for review because they were doubtful, so confirmed ones score higher than a
day's good images do. The rate that is stated holds for good images like validation and these
together; on all of a day's it is lower.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from blemish.core.device import choose_device
from blemish.core.errors import UserError
from blemish.core.files import finished_folder, write_json
from blemish.core.progress import progress
from blemish.images.feedback import SLICE, Confirmed
from blemish.images.manifest import read_manifest
from blemish.images.reading import read_image
from blemish.images.seen_zones import SeenZones, see
from blemish.methods.detector import AnyDetector
from blemish.methods.saved import Record, load, load_zones
from blemish.methods.scoring import score_picture
from blemish.methods.validation import Validation
from blemish.metrics.threshold import expected_rate, threshold_at, threshold_note
from blemish.predict.verdict import check_finite

LEFT = ("epochs",)  # of a model's folder, what the new one does not need


@dataclass(frozen=True)
class Recalibrated:
    """What became of the threshold at a false-alarm rate, and of the confirmed images by it."""

    rate: float
    before: float
    after: float
    normals: int
    good: list[float]
    defects: list[float]
    known: int

    def lines(self, out: Path) -> Iterator[str]:
        """What the user is told."""
        now = expected_rate(self.normals, self.rate)
        yield (
            f"threshold at {100 * self.rate:g} % false alarms: {self.before:.5g} → "
            f"{self.after:.5g}, from {self.normals} good images, {len(self.good)} of them "
            "confirmed ones"
        )
        yield (
            f"expected on good images like these: {100 * now['expected_rate']:.2g} % false alarms "
            f"(95 %: {100 * now['rate_low']:.2g} to {100 * now['rate_high']:.2g} %)"
        )
        for title, scores in (("good", self.good), ("defective", self.defects)):
            if scores:
                alarms = [sum(score > limit for score in scores)
                          for limit in (self.before, self.after)]  # fmt: skip
                yield (f"of {len(scores)} confirmed {title} images {alarms[0]} were alarms, "
                       f"{alarms[1]} are now")  # fmt: skip
        if self.known:
            yield (f"{self.known} confirmed image(s) are in data/prepared already, and so were "
                   "not counted again")  # fmt: skip
        if note := threshold_note(self.normals, self.rate):
            yield note
        yield f"{out}: `blemish predict {out} …` uses it"


def recalibrate(
    model: Path,
    confirmed: Sequence[Confirmed],
    prepared: Path,
    out: Path,
    rate: float,
    device: str = "auto",
) -> Recalibrated:
    """Write the model with the new threshold to `out`, whole or not at all.

    prepared: the unit's prepared folder, which may be missing: confirmed images that lie in it
    have trained or validated the model, and are left out.

    Raises UserError where there is nothing new, for a model with zones, and for a damaged image.
    """
    network, record = load(model, choose_device(device, where="`--device`"))
    if record.zones:
        raise UserError(f"{model}: its zones have thresholds of their own: change `data.zones`")
    new = _new(confirmed, prepared)
    goods = [one for one in new if one.defect == "good"]
    if not goods:
        raise UserError(
            f"no confirmed good image is new to {model}: confirm some with `blemish review`"
        )
    zones = load_zones(model, record)
    seen = see(zones, network.framing) if zones else None
    good, maxima = _scored(network, record, seen, goods)
    defects, _ = _scored(network, record, seen, [one for one in new if one.defect != "good"])
    old = record.validation
    validation = old.joined(good, maxima)
    _write(model, record, validation, len(good), out)
    return Recalibrated(
        rate,
        threshold_at(old.normal_scores, rate),
        threshold_at(validation.normal_scores, rate),
        len(validation.normal_scores),
        good,
        defects,
        len(confirmed) - len(new),
    )


def _new(confirmed: Sequence[Confirmed], prepared: Path) -> list[Confirmed]:
    if not (prepared / "manifest.parquet").is_file():
        return list(confirmed)
    there = {Path(image).name for image in read_manifest(prepared).rows["image"]}
    there = {name.removeprefix(f"{SLICE}-")[:16] for name in there if name.startswith(SLICE)}
    return [one for one in confirmed if one.file.name[:16] not in there]


def _scored(
    network: AnyDetector, record: Record, shared: SeenZones | None, images: Sequence[Confirmed]
) -> tuple[list[float], list[float]]:
    """The image scores, and the maxima of the maps where they are judged, as of validation."""
    levels = (record.levels[0], record.levels[1]) if record.levels else None
    scores, maxima = [], []
    for one in progress(images, "scoring confirmed images", len(images), "image"):
        image = read_image(one.file, levels)
        size = (image.shape[0], image.shape[1])
        seen = shared.seen if shared and shared.zones.index.shape == size else None
        picture = torch.from_numpy(network.framing.to_model(image))
        anomaly_map, found = score_picture(network, picture, size, seen)
        check_finite(found, anomaly_map, str(one.file))
        scores.append(float(found[0]))
        maxima.append(float((anomaly_map if seen is None else anomaly_map[seen[0]]).max()))
    return scores, maxima


def _write(model: Path, record: Record, validation: Validation, count: int, out: Path) -> None:
    if out.resolve() == model.resolve() or model.resolve() in out.resolve().parents:
        raise UserError(f"`--out` is {out}: name a folder beside the model, which stays as it is")
    facts = record.facts | {"confirmed_normals": count}
    stated = record.model_copy(update={"validation": validation, "facts": facts}).model_dump()
    if record.zones is None:
        del stated["zones"], stated["validation"]["zones"]
    with finished_folder(out) as folder:
        shutil.copytree(model, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*LEFT))
        (folder / "model.json").unlink()  # read-only where DVC made it
        write_json(folder / "model.json", stated)
