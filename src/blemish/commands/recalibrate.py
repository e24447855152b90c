"""`blemish recalibrate`: another threshold from confirmed images, without training."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    Path, typer.Argument(help="A trained model's folder: models/<unit>/<method>-<seed>.")
]
From = Annotated[
    Path | None,
    typer.Option(
        "--from", help="Folder of decisions; by default data/feedback/<unit> of the model's unit."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="The new model's folder; by default recalibrated/<unit>/<method>-<seed>."),
]
Rate = Annotated[
    float,
    typer.Option(min=0, max=0.999, help="Share of good images that may be alarms, to report on."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")]


def recalibrate(
    model: Model,
    source: From = None,
    out: Out = None,
    false_alarm_rate: Rate = 0.05,
    device: Device = "auto",
) -> None:
    """Set a model's thresholds anew from its validation normals and confirmed good images.

    Nothing is trained: it takes as long as scoring the confirmed images. The model stays as it is;
    the new one lies beside it, whole or not at all, and works with every rate. Confirmed images
    were picked as doubtful, so the stated rate is one for images like these: on all good images
    false alarms will be fewer.

    Example: blemish recalibrate models/bolts/m4/glass-0
    """
    import json

    from blemish.core.errors import UserError
    from blemish.images.feedback import FEEDBACK, confirmed, described
    from blemish.predict.recalibrate import recalibrate as work

    try:
        record = json.loads((model / "model.json").read_text(encoding="utf-8"))
        unit, name = str(record["unit"]), f"{record['method']}-{record['seed']}"
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{model}: not the folder of a trained model") from None
    if ".." in Path(unit).parts or Path(unit).is_absolute() or "/" in name:
        raise UserError(f"{model}/model.json: {unit!r} is no unit")
    folder = source or FEEDBACK / unit
    target = out or Path("recalibrated") / unit / name
    images = confirmed(folder, described(folder))
    if not images:
        raise UserError(f"{folder}: nothing is confirmed there: `blemish review {unit}` first")
    prepared = Path("data/prepared") / unit
    for line in work(model, images, prepared, target, false_alarm_rate, device).lines(target):
        print(line)
