"""What DVC knows of the graph: the order of its stages, what each needs, which are out of date.

What looks into DVC runs in a child of the zygote, where DVC is imported.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from blemish.core.errors import UserError
from blemish.run.forks import Forks

LOCK = Path("dvc.lock")


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

    def pending(self) -> list[str]:
        """What is out of date or may become so: the changed stages and all that follow from them,
        but for the last ones."""
        found: dict[str, None] = {}
        last = set(self.last())
        for stage in self.order:
            needed = any(one in found for one in self.upstream[stage])
            if stage not in last and (stage in self.changed or needed):
                found[stage] = None
        return list(found)

    def last(self) -> list[str]:
        """Stages that always run and what follows from them: for one DVC, when all else is done."""
        found: dict[str, None] = {}
        for stage in self.order:
            if stage in self.always or any(one in found for one in self.upstream[stage]):
                found[stage] = None
        return list(found)


def graph_of(forks: Forks, targets: list[str]) -> Graph:
    """The graph of the workspace. Raises UserError with DVC's own words if there is none."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "plan.json")
        try:
            forks.ask(do="plan", targets=targets, out=str(out))
        except UserError as error:
            raise UserError(f"DVC cannot read the graph: {error}") from None
        return Graph(**json.loads(out.read_text(encoding="utf-8")))


def write_plan(targets: list[str], out: Path) -> None:
    """Ask DVC; the answer goes to a file as JSON."""
    from dvc.repo import Repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    # dvc.lock is read once: what DVC's own commands do here reads it three times, and reading it is
    # most of the time of a run with nothing to do.
    with Repo() as repo, repo.lock:
        graph = get_active_graph(repo.index.graph)
        defined = [stage for stage in repo.index.stages if stage.path_in_repo == "dvc.yaml"]
        whole = plan_repro(graph, defined)
        stages = plan_repro(graph, collect_stages(repo, targets)) if targets else whole
        order = [stage.addressing for stage in stages]
        wanted = set(order)
        changed = [stage.addressing for stage in stages if stage.status(check_updates=True)]
        found = {
            "order": order,
            "upstream": {
                stage.addressing: [
                    one.addressing for one in graph.successors(stage) if one.addressing in wanted
                ]
                for stage in stages
            },
            "changed": changed,
            "always": [stage.addressing for stage in stages if stage.always_changed],
            "whole": [stage.addressing for stage in whole],
        }
    out.write_text(json.dumps(found), encoding="utf-8")


def order_lock_file(order: list[str]) -> None:
    """Put the stages of dvc.lock in this order; others keep theirs, at the end.

    Stages that ran side by side were written as they ended; a serial run writes them as it visits
    them, and equal results should be equal files.
    """
    from dvc.utils.serialize import modify_yaml

    if not LOCK.exists():
        return
    with modify_yaml(LOCK) as content:
        stages = content["stages"]
        names = [name for name in order if name in stages]
        if list(stages)[: len(names)] == names:
            names = []
        rest = [name for name in stages if name not in names]
        for name in [*names, *rest] if names else []:
            stages.move_to_end(name)
