"""A trained detector for use in a program: `blemish.load` gives one."""

import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import overload

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from blemish.core.device import choose_device
from blemish.core.errors import UserError
from blemish.images.looks import looks_of
from blemish.images.reading import Levels
from blemish.images.seen_zones import SeenZones, see
from blemish.methods.detector import AnyDetector
from blemish.methods.saved import Record, load, load_zones
from blemish.methods.scoring import score_picture
from blemish.methods.zone_rules import lowest_where_ignored, zone_rules
from blemish.metrics.threshold import threshold_at
from blemish.predict.in_order import in_order
from blemish.predict.pictures import ONE, Picture, name_of, pixels_of
from blemish.predict.verdict import Rules, Verdict, check_finite, verdict


class TrainedDetector:
    """Judges images as the evaluation did: the same image gets the same score, bit by bit on a CPU,
    whatever images, threads or batches it comes with.

    An image is computed by one thread, several images side by side by `threads` of them. May be
    used by several threads of a program at once. record: what `model.json` says. rules: the
    thresholds in use.
    """

    def __init__(
        self,
        network: AnyDetector,
        record: Record,
        rules: Rules,
        shared: SeenZones | None = None,
        threads: int = 1,
    ) -> None:
        self.network = network
        self.record = record
        self.rules = rules
        self.threads = threads
        self._shared = shared
        cv2.setNumThreads(1)  # OpenCV's own threads would fight with ours
        with torch.inference_mode():  # once alone: networks prepare themselves when first used
            window = torch.zeros(1, 3, *network.framing.window, dtype=torch.uint8)
            network.score(window.to(self.device))

    @property
    def device(self) -> torch.device:
        """Where is computed."""
        return next(self.network.parameters()).device

    @property
    def levels(self) -> Levels | None:
        """What black and white are in 16-bit images; None: the whole range."""
        levels = self.record.levels
        return None if levels is None else (levels[0], levels[1])

    @overload
    def score(self, images: Picture) -> Verdict: ...  # type: ignore[overload-overlap]  # of str

    @overload
    def score(self, images: Iterable[Picture], batch: int = ...) -> list[Verdict]: ...

    def score(self, images: Picture | Iterable[Picture], batch: int = 8) -> Verdict | list[Verdict]:
        """Judge an image, or each of several.

        images: a path, a PIL image, an array (H, W), (H, W, 1) or (H, W, 3) of uint8 or uint16, or
        an iterable of such. Files are turned as EXIF says. batch: as in `score_each`.

        Raises UserError for what is no such image, and where the model gives NaN.
        """
        if isinstance(images, ONE):
            return self._judged(images, name_of(images))
        return list(self.score_each(images, batch))

    def score_each(self, images: Iterable[Picture], batch: int = 8) -> Iterator[Verdict]:
        """`score` of one after the other, in their order, for more than fit into memory.

        batch: how many images are in work or wait for being taken, at most.
        """
        if not (isinstance(batch, int) and batch > 0):
            raise UserError(f"`batch` is {batch!r}: give how many images may be in work, from 1")
        if not isinstance(images, Iterable):
            raise UserError(f"the images are {type(images).__name__}: give one, or a list of them")
        numbered = ((picture, name_of(picture, at)) for at, picture in enumerate(images))
        threads = min(self.threads, batch)
        return in_order(numbered, lambda item: self._judged(*item), threads, batch - 1)

    def judge(self, image: NDArray[np.uint8], seen: SeenZones | None, name: str) -> Verdict:
        """The verdict on RGB pixels, uint8 (H, W, 3), with the zones `seen`; name: for errors."""
        # Sums in another order have other last bits: here is none but this thread.
        if self.device.type == "cpu" and torch.get_num_threads() != 1:
            torch.set_num_threads(1)
        size, framing = (image.shape[0], image.shape[1]), self.network.framing
        framed = framing.to_model(image)
        picture = torch.from_numpy(framed)
        small, scores = score_picture(self.network, picture, size, seen.seen if seen else None)
        check_finite(scores, small, name)
        anomaly_map = framing.to_original(small, size)
        zones = seen.zones if seen else None
        whole = np.array(lowest_where_ignored(anomaly_map, zones), np.float32)
        found = verdict(scores, whole, seen, framing.seen(*size), self.rules)
        return replace(found, looks=looks_of(framed))

    def _judged(self, picture: Picture, name: str) -> Verdict:
        pixels = pixels_of(picture, self.levels, name)
        shared = self._shared
        fits = shared is not None and shared.zones.index.shape == pixels.shape[:2]
        return self.judge(pixels, shared if fits else None, name)


def open_detector(
    folder: str | Path,
    device: str = "auto",
    threads: int = 0,
    *,
    false_alarm_rate: float = 0.05,
    threshold: float | None = None,
    map_threshold: float | None = None,
    min_area: int = 16,
    simplify: float = 1.0,
) -> TrainedDetector:
    """A trained detector from its folder, such as models/elpv/mono/glass-0, ready to `score`.

    device: auto, cpu, cuda, cuda:1 … threads: how many images are scored side by side; 0 is one a
    core. The rest is as in `blemish predict`: false_alarm_rate is the share of good images that may
    be called defective, and likewise have regions; both thresholds follow from the validation
    normals unless they are given. min_area: pixels of the smallest region. simplify: pixels by
    which its outline may be simplified.

    Raises UserError where the folder holds no model of this version, or the device is not there.
    """
    check_device(device, "`device`")
    check_rules(false_alarm_rate, threshold, map_threshold)
    if threads < 0 or min_area < 1 or not 0 <= simplify <= 100:
        raise UserError(
            f"`threads`, `min_area` and `simplify` are {threads}, {min_area} and {simplify}: give "
            "0 (all cores) or more, 1 or more, and 0 to 100"
        )
    folder = Path(folder)
    network, record = load(folder, choose_device(device, where="`device`"))
    zones = load_zones(folder, record)
    shared = see(zones, network.framing) if zones else None
    rules = rules_of(record, false_alarm_rate, threshold, map_threshold, min_area, simplify)
    return TrainedDetector(network, record, rules, shared, threads or cores())


def cores() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def rules_of(
    record: Record,
    rate: float,
    threshold: float | None,
    map_threshold: float | None,
    min_area: int,
    tolerance: float,
) -> Rules:
    """The thresholds as given, else those of the false-alarm rate, which is also that of zones
    without one of their own."""
    known = record.validation
    zones = zone_rules(known, record.zones, rate)
    if threshold is not None:
        zones = tuple(replace(rule, threshold=threshold) for rule in zones)
    if map_threshold is not None:
        zones = tuple(replace(rule, map_threshold=map_threshold) for rule in zones)
    limit = threshold_at(known.normal_scores, rate) if threshold is None else threshold
    map_limit = known.map_threshold(rate) if map_threshold is None else map_threshold
    # Of n + 1 exchangeable images, the new one among them, each is as likely to be above.
    above = sum(score > limit for score in known.normal_scores)
    expected = (above + 1) / (len(known.normal_scores) + 1)
    return Rules(limit, map_limit, min_area, tolerance, expected, zones)


def check_device(device: str, where: str) -> None:
    """Raise UserError for a word that names no device."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise UserError(f"{where} is {device!r}: use auto, cpu, cuda, cuda:1 …")


def check_rules(rate: float, threshold: float | None, map_threshold: float | None) -> None:
    """Raise UserError for numbers that no decision can follow from."""
    if not 0 <= rate < 1:
        raise UserError(f"`false_alarm_rate` is {rate}: use a share from 0 up to below 1")
    for name, value in (("threshold", threshold), ("map_threshold", map_threshold)):
        if value is not None and not math.isfinite(value):
            raise UserError(f"`{name}` is {value}: give a number")
