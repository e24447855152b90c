"""`blemish params`: check params.yaml."""


def params() -> None:
    """Check params.yaml; say what it would run."""
    from blemish.core.params import load_params

    checked = load_params()
    runs = len(checked.units) * len(checked.methods) * len(checked.seeds)
    print(
        f"params.yaml is valid: {runs} run(s) = {len(checked.units)} unit(s) × "
        f"{len(checked.methods)} method(s) × {len(checked.seeds)} seed(s)"
    )
