"""The early warning: a detector that does not even find defects that were drawn for it."""

LEAST = 0.7  # image AUROC on the validation set; 0.5 is chance


def early_warning(validation_auroc: float | None) -> str | None:
    """A line for people where a detector cannot tell the rendered validation defects from the
    validation normals; None where it can, or where there is nothing to tell."""
    if validation_auroc is None or validation_auroc >= LEAST:
        return None
    return (
        f"It does not find the rendered validation defects (image AUROC {validation_auroc:.2f}, "
        f"below {LEAST}): do not rely on it. Look at the unit's synthetic defects and heat maps; "
        "try more epochs, another `resize`, or another method."
    )
