"""`blemish review`: confirm or correct what a model decided, on a page of this machine."""

from pathlib import Path
from typing import Annotated

import typer

Unit = Annotated[str, typer.Argument(help="The unit that the images are of, such as bolts/m4.")]
JudgedIn = Annotated[
    Path | None,
    typer.Option(
        "--judged",
        help="Folder with what `blemish predict` or `watch` wrote: scores.csv or .parquet, "
        "overlays/, labelme/; by default judged/<unit>.",
    ),
]
Images = Annotated[
    Path,
    typer.Option(
        help="The folder from which the table's paths start: for `watch` the folder it watched."
    ),
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 is any free one.")]
NoBrowser = Annotated[
    bool, typer.Option("--no-browser", help="Print the page's address, and do not open it.")
]


def review(
    unit: Unit,
    judged: JudgedIn = None,
    images: Images = Path(),
    port: Port = 0,
    no_browser: NoBrowser = False,
) -> None:
    """Look at judged images, the most doubtful first, and say what they are; Ctrl-C ends it.

    Keys: g good, d defect (then a number or a name), u unsure, z undo, arrows for previous and
    next, o the next that is open, m the map. A decision is written the moment it is made, to
    data/feedback/<unit>/, with a copy of the image; `blemish review` goes on where it was ended.
    The page is for this machine alone. Outlines can be corrected in LabelMe: the page says how.

    Example: blemish review bolts/m4 --images camera
    """
    import contextlib
    import webbrowser

    from blemish.core.errors import UserError
    from blemish.images.feedback import FEEDBACK, Journal, latest
    from blemish.review.judged import JudgedFolder
    from blemish.review.known import known_of
    from blemish.review.server import serving
    from blemish.review.session import Session

    parts = unit.split("/")
    if len(parts) != 2 or any(part in {"", ".", ".."} for part in parts):
        raise UserError(f"{unit}: not a unit: write <data set>/<category>, such as bolts/m4")
    feedback = FEEDBACK / unit
    session = Session(unit, JudgedFolder(judged or Path("judged") / unit, images), feedback,
                      *known_of(Path("data/prepared") / unit))  # fmt: skip
    with serving(session, port) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        print(f"{len(session.images())} image(s) of {unit}: {address}", flush=True)
        if not no_browser:
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    rows = latest(Journal(feedback).rows()).values()
    counts = [sum(row.decision == name for row in rows) for name in ("good", "defect", "unsure")]
    print("{}: {} good, {} defective, {} unsure".format(feedback, *counts))
