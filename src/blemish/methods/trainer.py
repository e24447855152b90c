"""A trainer: how a method fits its detector."""

import importlib
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from blemish.methods.detector import AnyDetector
from blemish.methods.loop import Loop
from blemish.methods.training_data import TrainingUnit

D = TypeVar("D", bound=AnyDetector)


class Trainer(ABC, Generic[D]):
    """Fits a detector to a unit.

    A method that learns from synthetic defects has `kinds: KindParams | None` among its parameters,
    its published kinds as the default, and trains on `unit.with_kinds(params.kinds)`: methods side
    by side in one grid each get their own defects, None gives them the unit's shared mix.
    """

    def __init__(self, detector: D) -> None:
        self.detector = detector

    @abstractmethod
    def fit(self, unit: TrainingUnit, loop: Loop) -> None:
        """Learn from a unit's training normals and its synthetic defects."""


def trainer_of(detector: AnyDetector) -> Trainer[Any]:
    """The trainer of a detector's method."""
    trainer: type[Trainer[Any]] = importlib.import_module(
        f"blemish.methods.{detector.name}.training"
    ).TRAINER
    return trainer(detector)
