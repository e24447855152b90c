"""`blemish speed`: how long a trained model takes for an image, on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from blemish.commands.predict import Images, Model

AsJson = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]
Repeats = Annotated[int, typer.Option(min=3, help="How many images each time is taken of.")]
Seconds = Annotated[float, typer.Option(min=0.1, help="About how long each time may take at most.")]


def speed(
    model: Model,
    images: Images,
    repeats: Repeats = 48,
    seconds: Seconds = 60,
    as_json: AsJson = False,
) -> None:
    """Measure milliseconds an image and memory of a trained model, on this machine's CPU.

    The median and the 95th percentile, on one core and on all, images alone and 16 at once;
    reading files is timed apart. Nothing is written.

    Example: blemish speed models/elpv/mono/glass-0 photos
    """
    import json

    from blemish.predict.inputs import find_images
    from blemish.predict.speed import lines, measure

    files = [source.path for source in find_images(images, [])]
    found = measure(Path(model), files, repeats, seconds)
    print(json.dumps(found) if as_json else "\n".join(lines(found)))
