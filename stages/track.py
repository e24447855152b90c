"""track: MLflow holds each result of the workspace once. Always run: the store is not DVC's."""

from pathlib import Path

from blemish.core.errors import run_stage
from blemish.core.params import load_params
from blemish.tracking.track import track


def main(models: str, results: str) -> None:
    params = load_params()
    grid = (params.units, params.methods, params.seeds)
    settings = params.tracking
    track(Path(models), Path(results), *grid, settings.experiment, settings.uri, root=Path.cwd())


if __name__ == "__main__":
    run_stage(main)
