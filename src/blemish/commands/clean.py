"""`blemish clean`: remove what killed runs left."""

from pathlib import Path


def clean() -> None:
    """Remove what killed runs left: checkpoints, unfinished files, logs. No result is touched.

    Example: blemish clean
    """
    from blemish.run.cleaning import clean as remove

    for line in remove(Path()):
        print(line)
