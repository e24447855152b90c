"""What passes between `blemish run` and its children: the graph, results, commands to be run."""

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["ran", "cached", "unchanged", "failed", "killed", "busy"]


@dataclass(frozen=True)
class Graph:
    """order: the stages as `dvc repro` visits them. upstream: what each needs. changed: those that
    `dvc status` names. always: those that run every time. whole: the order of the whole graph, of
    which `order` may be a part."""

    order: list[str]
    upstream: dict[str, list[str]]
    changed: list[str]
    always: list[str]
    whole: list[str]
    looks: list[str] = field(default_factory=list)

    def first(self) -> list[str]:
        """Stages that look whether others are out of date, with what of their needs is changed."""
        chosen = set(self.looks)
        for stage in reversed(self.order):
            if stage in chosen:
                chosen.update(self.upstream[stage])
        concerned = {*self.changed, *self.looks}
        return [stage for stage in self.order if stage in chosen & concerned]

    def pending(self) -> list[str]:
        """What is out of date or may become so: the changed stages and all that follow from them,
        but for the first and the last ones."""
        apart = {*self.first(), *self.last()}
        candidates = [stage for stage in self.order if stage not in apart]
        return self._following(candidates, set(self.changed))

    def last(self) -> list[str]:
        """Stages that always run and what follows from them: for the end, when all else is done."""
        return self._following(self.order, set(self.always) - set(self.looks))

    def _following(self, stages: list[str], first: set[str]) -> list[str]:
        """Those of the stages that are among the `first` or need one that is chosen."""
        chosen: dict[str, None] = {}
        for stage in stages:
            if stage in first or any(needed in chosen for needed in self.upstream[stage]):
                chosen[stage] = None
        return list(chosen)


@dataclass(frozen=True)
class Result:
    """How reproducing a stage ended; `reason` is DVC's word where it could not begin."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class Command:
    """What a child asks to be run elsewhere: a stage's command, the inputs that DVC made, as path
    and hash, and the paths that it writes."""

    stage: str
    text: str
    inputs: list[tuple[str, str]]
    outputs: list[str]
