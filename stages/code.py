"""code: what each stage, each method and each data set runs, one small file each.

Every other stage depends on its own file: an edit reruns the stages that run the edited code, an
upgrade those that import the package, and a comment none. What each file holds tells why.
"""

from pathlib import Path

from blemish.core.code import SOURCE, closure, describe, module_file, read_lock
from blemish.core.errors import run_stage
from blemish.core.files import finished_folder, write_json
from blemish.datasets.dataset import module_name
from blemish.datasets.registry import DATA_SETS, OWN_FOLDER
from blemish.methods.registry import METHODS
from blemish.synthesis import kinds

STAGES = SOURCE.parent / "stages"
# The modules of a method that a stage imports by the method's name.
OF_METHOD = {
    "train": ("params", "detector", "training"),
    "evaluate": ("params", "detector"),
    "export": ("params", "detector"),
}


def main(lock: str, out: str) -> None:
    locked = read_lock(Path(lock))
    with finished_folder(Path(out)) as folder:
        for name, starts in entry_points().items():
            write_json(folder / f"{name}.json", describe(starts, locked))


def entry_points() -> dict[str, list[Path]]:
    """Where the code begins of each stage, `train/<method>`, `datasets/<data set>`, …"""
    starts = {script.stem: [script] for script in STAGES.glob("*.py")}
    for stage, parts in OF_METHOD.items():
        script = starts.pop(stage)
        for method in METHODS:
            modules = (module_file(f"blemish.methods.{method}.{part}") for part in parts)
            starts[f"{stage}/{method}"] = [*script, *filter(None, modules)]
    for name in [*DATA_SETS, OWN_FOLDER]:
        module = module_file(module_name(name, {OWN_FOLDER: ""}))
        starts[f"datasets/{name}"] = [module] if module else []
    renderer = module_file("blemish.synthesis.render")
    for begin in starts.values():
        if renderer in closure(begin):
            begin += kinds_of_defects()
    return starts


def kinds_of_defects() -> list[Path]:
    """The modules that rendering imports by a recipe's kind."""
    names = map(kinds.module_name, [*kinds.TRAINED, *kinds.UNTRAINED])
    modules = (module_file(f"blemish.synthesis.kinds.{name}") for name in names)
    return [module for module in modules if module]


if __name__ == "__main__":
    run_stage(main)
