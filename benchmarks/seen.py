"""One defect as a network sees it each way: a picture for docs/own-size.md.

    python benchmarks/seen.py IMAGE MASK docs/own-size.png --size 256

For each of squash, crop, fit and tiles: what the network sees at once, and, four times enlarged,
the defect's surroundings in it. The last line is one JSON object: how many pixels of the network
the defect covers, and its share of what it covers in tiles.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from blemish.evaluation.drawing import font
from blemish.images.framing import Framing
from blemish.images.masks import read_mask
from blemish.images.reading import read_image
from blemish.images.windows import windows
from blemish.methods.view import choose_view
from blemish.methods.view_params import ViewParams

Pixels = NDArray[np.uint8]
WAYS = ("squash", "crop", "fit", "tiles")
HEIGHT, ZOOM, GAP, CAPTION = 260, 4, 14, 46
INK, PAPER, MARK = (24, 24, 27), (255, 255, 255), (230, 0, 120)


def framing_of(way: str, size: int, image: Pixels) -> Framing:
    params = ViewParams.model_validate({"image_size": size, "resize": way})
    return choose_view(params, [image.shape[:2]]).framing


def seen(framing: Framing, picture: Pixels, mask: NDArray[np.bool_]) -> tuple[Pixels, NDArray]:
    """What is seen at once (h, w, 3) and the defect in it; of tiles the window with most of it."""
    framed = framing.to_model(picture).transpose(1, 2, 0)
    inside = framing.mask_to_model(mask, above=0)
    marked = np.zeros(framed.shape[:2], bool)
    framing.inside(marked, mask.shape)[:] = inside
    height, width = framing.window
    places = [(at.top, at.left) for at in windows(framing, framed.shape[:2])]
    top, left = max(places, key=lambda at: marked[at[0] :, at[1] :][:height, :width].sum())
    part = np.s_[top : top + height, left : left + width]
    return framed[part], marked[part]


def zoomed(picture: Pixels, marked: NDArray[np.bool_]) -> Pixels:
    """The surroundings of the defect, enlarged without smoothing, HEIGHT pixels a side."""
    side = HEIGHT // ZOOM
    rows, columns = np.nonzero(marked) if marked.any() else ([0], [0])
    top = int(np.clip(np.mean(rows) - side / 2, 0, max(0, picture.shape[0] - side)))
    left = int(np.clip(np.mean(columns) - side / 2, 0, max(0, picture.shape[1] - side)))
    part = np.ascontiguousarray(picture[top : top + side, left : left + side])
    return np.asarray(cv2.resize(part, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_NEAREST))


def panel(way: str, framing: Framing, picture: Pixels, mask: NDArray[np.bool_]) -> Image.Image:
    part, marked = seen(framing, picture, mask)
    small = Image.fromarray(part)
    small.thumbnail((3 * HEIGHT // 2, HEIGHT))
    detail = Image.fromarray(zoomed(part, marked))
    width = max(small.width + GAP + detail.width, 480)
    drawn = Image.new("RGB", (width, HEIGHT + CAPTION), PAPER)
    draw = ImageDraw.Draw(drawn)
    draw.text((0, 4), f"{way}", INK, font(17, bold=True))
    said = f"{framing.said}; the defect covers {marked.sum()} pixels"
    draw.text(
        (0, 26), said if marked.any() else f"{framing.said}; the defect is cut off", INK, font(12)
    )
    drawn.paste(small, (0, CAPTION))
    drawn.paste(detail, (small.width + GAP, CAPTION))
    edge = (
        small.width + GAP,
        CAPTION,
        small.width + GAP + detail.width - 1,
        CAPTION + detail.height - 1,
    )
    draw.rectangle(edge, outline=MARK)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=256)
    given = parser.parse_args()
    picture, mask = read_image(given.image), read_mask(given.mask)
    framings = {way: framing_of(way, given.size, picture) for way in WAYS}
    panels = [panel(way, framing, picture, mask) for way, framing in framings.items()]
    columns = [max(part.width for part in panels[side::2]) for side in (0, 1)]
    size = (sum(columns) + 3 * GAP, 2 * (HEIGHT + CAPTION) + 3 * GAP)
    sheet = Image.new("RGB", size, PAPER)
    for number, part in enumerate(panels):
        left = GAP + (columns[0] + GAP) * (number % 2)
        sheet.paste(part, (left, GAP + (HEIGHT + CAPTION + GAP) * (number // 2)))
    sheet.save(given.out)
    covered = {way: int(seen(framing, picture, mask)[1].sum()) for way, framing in framings.items()}
    shares = {f"share_{way}": round(covered[way] / covered["tiles"], 3) for way in WAYS}
    print(json.dumps({f"pixels_{way}": count for way, count in covered.items()} | shares))


if __name__ == "__main__":
    main()
