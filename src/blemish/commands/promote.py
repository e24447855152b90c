"""`blemish promote`: the best model of a unit becomes the one that is served."""

from typing import Annotated

import typer

from blemish.core.errors import UserError, suggestion

Units = Annotated[
    list[str] | None, typer.Argument(help="Units of params.yaml; all of them if none is named.")
]
Back = Annotated[
    bool, typer.Option("--back", help="Let the champion and the previous one change places.")
]


def promote(units: Units = None, back: Back = False) -> None:
    """Make the best model of each unit its champion in MLflow's registry.

    Best is the highest `tracking.promote_by` on the validation set: rendered defects among
    held-out good images; or, as `selection_image_auroc` or `selection_recall`, on the real defects
    set apart by `data.selection` and `blemish review`. What was measured on the test set does not
    count.

    The registered model of elpv/mono is elpv.mono; its alias `champion` is the best model, its
    alias `previous` the champion before. champions/dvc.yaml names the champion for
    `dvc artifacts get`.

    `mlflow models serve -m models:/elpv.mono@champion --env-manager local` then serves it.

    Example: blemish promote elpv/mono
    """
    from pathlib import Path

    from blemish.core.params import load_params
    from blemish.tracking.promotion import promote as promote_best
    from blemish.tracking.promotion import promote_back

    params = load_params()
    for unit in units or ():
        if unit not in params.units:
            hint = suggestion(unit, params.units)
            raise UserError(f"{unit}: not among `units` of params.yaml{hint}: add it, or another")
    work = promote_back if back else promote_best
    for line in work(params, units or params.units, Path.cwd()):
        print(line)
