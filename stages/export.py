"""export: one trained model as a graph for other runtimes, compared with the model."""

from pathlib import Path

from blemish.core.errors import run_stage
from blemish.core.files import finished_folder
from blemish.core.params import load_params
from blemish.export.runtimes import check_installed


def main(name: str, model: str, prepared: str, synthetic: str, code: str, out: str) -> None:
    params = load_params()
    check_installed(name)
    from blemish.export.export import write_export  # needs what was just checked

    inputs = (Path(model), Path(prepared), Path(synthetic), Path(code))
    with finished_folder(Path(out)) as folder:
        write_export(name, *inputs, params.evaluation.false_alarm_rate, folder)


if __name__ == "__main__":
    run_stage(main)
