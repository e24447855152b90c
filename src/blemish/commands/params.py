"""`blemish params`: check params.yaml."""

from blemish.core.errors import UserError


def params() -> None:
    """Check params.yaml; say what it would run.

    Example: blemish params
    """
    from blemish.core.params import load_params
    from blemish.datasets.own_units import faults_of_folders

    checked = load_params()
    faults = faults_of_folders(checked.units, checked.data.folders)
    if faults.wrong:
        raise UserError(faults.wrong[0])
    for line in faults.absent:
        print(f"note: {line}: on this machine its results can be read, not made anew")
    runs = len(checked.units) * len(checked.methods) * len(checked.seeds)
    print(
        f"params.yaml is valid: {runs} run(s) = {len(checked.units)} unit(s) × "
        f"{len(checked.methods)} method(s) × {len(checked.seeds)} seed(s)"
    )
