"""`blemish watch`: judge the images that come into a folder."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    Path, typer.Argument(help="A trained model's folder: models/<unit>/<method>-<seed>.")
]
Folder = Annotated[Path, typer.Argument(help="The folder into which images come, at any depth.")]
Scores = Annotated[
    Path,
    typer.Option(help="Table (CSV) to which a row an image is added; it says which are done."),
]
Overlays = Annotated[
    Path | None,
    typer.Option(help="Folder for the images under their maps, regions outlined (PNG)."),
]
Aside = Annotated[
    Path | None,
    typer.Option(help="Where files go that cannot be read; by default FOLDER/unreadable."),
]
Rest = Annotated[
    float,
    typer.Option(
        min=0,
        help="Seconds for which size and time of a file must stay the same until it is whole. "
        "0: writers rename whole files into the folder.",
    ),
]
Once = Annotated[bool, typer.Option("--once", help="End when all that is there is done.")]
Rate = Annotated[
    float, typer.Option(min=0, max=0.999, help="Share of good images that may be alarms.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")]


def watch(
    model: Model,
    folder: Folder,
    scores: Scores,
    overlays: Overlays = None,
    aside: Aside = None,
    rest: Rest = 1.0,
    once: Once = False,
    false_alarm_rate: Rate = 0.05,
    device: Device = "auto",
) -> None:
    """Judge the images that come into a folder, each once, until SIGTERM or Ctrl-C.

    A file counts as whole when its size and time have stayed the same for `--rest` seconds. Hidden
    files and those that no image's name end are not looked at: a writer may rename such a one. The
    row in the table is written last; what has one is never judged again, also after a kill.
    A file that cannot be read is tried again, then named and moved aside.

    Exit status: 0 when told to end; 1 if it could not start or go on, such as with a full disk.

    Example: blemish watch models/elpv/mono/glass-0 camera --scores found.csv --overlays look
    """
    from blemish.predict.watch import Watch

    Watch(
        model=model,
        folder=folder,
        table=scores,
        overlays=overlays,
        aside=aside or folder / "unreadable",
        rest=rest,
        once=once,
        device=device,
        false_alarm_rate=false_alarm_rate,
    ).run()
