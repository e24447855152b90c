"""DVC as the zygote has it: imported whole, and mended where many at once meet its weak places.

All of this changes DVC within this process and its forks only.
"""

import functools
import gc
import importlib
import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESTORING = 19  # niceness; a Ray worker's is 15
# By name: nothing here calls them, and a linter would take plain imports out.
USED_BY_REPRO = (
    "configobj", "dvc._debug", "dvc.cachemgr", "dvc.cli.parser", "dvc.data_cloud", "dvc.dirs",
    "dvc.lock", "dvc.output", "dvc.repo.artifacts", "dvc.repo.datasets", "dvc.repo.graph",
    "dvc.repo.index", "dvc.repo.metrics", "dvc.repo.open_repo", "dvc.repo.params",
    "dvc.repo.plots", "dvc.repo.reproduce", "dvc.repo.stage", "dvc.repo.status", "dvc.repo.trie",
    "dvc.rwlock", "dvc.scm", "dvc.stage.cache", "dvc.stage.run", "dvc.utils.strictyaml",
    "dvc_data.hashfile.db.local", "dvc_data.hashfile.status", "networkx", "pyparsing",
    "ruamel.yaml",
)  # fmt: skip


def preload() -> None:
    """Import what `dvc repro` imports on its way, as DVC imports late, and build its parser."""
    gc.disable()  # nothing of it is ever garbage: looking for some takes a fifth of the time
    for name in USED_BY_REPRO:
        importlib.import_module(name)
    one_parser()
    lock_file_once()
    atomic_lock_file()
    empty_run_cache_is_no_error()
    gc.freeze()  # nor do forks look through it
    gc.enable()


def one_parser() -> None:
    """DVC builds the parser of all its commands anew for each."""
    from dvc.cli import parser

    parser.get_main_parser = functools.cache(parser.get_main_parser)
    parser.get_main_parser()


def lock_file_once() -> None:
    """DVC reads and writes dvc.lock for each stage that it visits, which is most of the time of
    restoring hundreds of them: here a command writes it once, at its end."""
    from dvc.repo import reproduce
    from dvc.stage import PipelineStage

    visit = reproduce._reproduce

    def visit_and_write(*args: Any, **options: Any) -> Any:
        visited: dict[str, list[PipelineStage]] = defaultdict(list)

        def remember(stage: PipelineStage, **_: Any) -> None:
            visited[stage.dvcfile.path].append(stage)

        PipelineStage.dump = remember  # this process runs one command
        try:
            return visit(*args, **options)
        finally:
            for stages in visited.values():
                stages[0].dvcfile.dump_stages(stages, update_pipeline=False)

    reproduce._reproduce = visit_and_write


def atomic_lock_file() -> None:
    """dvc.lock is written whole or not at all: DVC truncates it first, and a kill may come then."""
    from dvc.utils.serialize import _common, _yaml

    from blemish.core.files import finished_file

    def dump(path: Any, data: Any, dumper: Callable[..., None], **more: Any) -> None:
        more.pop("fs", None)  # dvc.lock is a file of this machine
        with (
            finished_file(Path(path).resolve()) as temporary,
            temporary.open("w", encoding="utf-8") as stream,
        ):
            dumper(data, stream, **more)

    _common._dump_data = _yaml._dump_data = dump


def empty_run_cache_is_no_error() -> None:
    """DVC makes the folder of a run-cache entry before the entry: a kill or a full disk in between
    leaves it empty, and DVC fails on it for ever with a TypeError. It holds nothing, that is all.
    """
    from dvc.stage.cache import StageCache, _get_stage_hash

    load = StageCache._load

    def load_if_any(self: Any, stage: Any) -> Any:
        key = _get_stage_hash(stage)
        folder = Path(self._get_cache_dir(key)) if key else None
        return (
            None if folder and folder.is_dir() and not any(folder.iterdir()) else load(self, stage)
        )

    StageCache._load = load_if_any


def restore_only() -> None:
    """From here on DVC takes results from its cache, and fails on a stage that would have to run.

    It gives way to stages, which may run on this machine, too.
    """
    from dvc.exceptions import DvcException
    from dvc.stage import run

    def refuse(stage: Any, **_: Any) -> None:
        raise DvcException(f"the cache has no result of {stage.addressing}")

    run.cmd_run = refuse
    os.nice(RESTORING)
