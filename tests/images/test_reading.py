"""Images and masks of every kind that users have, and what is no image."""

import io
import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.core.errors import UserError
from blemish.images.masks import read_mask
from blemish.images.reading import read_image

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (20, 30), dtype=np.uint8)
RGB = RANDOM.integers(0, 256, (20, 30, 3), dtype=np.uint8)
DEEP = RANDOM.integers(0, 65536, (20, 30), dtype=np.uint16)


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def grey_as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[:, :, None], 3, axis=2)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF", ".PNG"])
def test_lossless_images_are_read_as_they_are(suffix: str, tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        read_image(saved(Image.fromarray(RGB), tmp_path / f"a{suffix}")), RGB
    )
    grey = read_image(saved(Image.fromarray(GREY), tmp_path / f"grey{suffix}"))
    np.testing.assert_array_equal(grey, grey_as_rgb(GREY))


def test_other_modes_become_rgb(tmp_path: Path) -> None:
    alpha = np.dstack((RGB, RANDOM.integers(0, 256, (20, 30), dtype=np.uint8)))
    np.testing.assert_array_equal(
        read_image(saved(Image.fromarray(alpha), tmp_path / "a.png")), RGB
    )
    bilevel = Image.fromarray(GREY > 127)
    expected = grey_as_rgb((GREY > 127).astype(np.uint8) * 255)
    np.testing.assert_array_equal(read_image(saved(bilevel, tmp_path / "b.png")), expected)
    palette = Image.fromarray(RGB).quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(read_image(saved(palette, tmp_path / "p.png")), expected)
    jpeg = saved(Image.fromarray(RGB).convert("CMYK"), tmp_path / "c.jpg")
    assert read_image(jpeg).shape == (20, 30, 3)


def test_alpha_and_palette_transparency_are_left_out(tmp_path: Path) -> None:
    """As they come from drawing programs and microscopes: what is opaque stays as it is."""
    grey_alpha = Image.fromarray(np.dstack((GREY, GREY)), "LA")
    np.testing.assert_array_equal(
        read_image(saved(grey_alpha, tmp_path / "la.png")), grey_as_rgb(GREY)
    )
    palette = Image.fromarray(RGB).quantize(16)
    path = saved(palette, tmp_path / "t.png", transparency=3)
    np.testing.assert_array_equal(read_image(path), np.asarray(palette.convert("RGB")))


def test_a_large_image_is_read_and_an_absurd_one_refused(tmp_path: Path) -> None:
    path = saved(Image.new("L", (9000, 10500), 7), tmp_path / "line scan.png")
    assert read_image(path).shape == (10500, 9000, 3)
    path = saved(Image.new("1", (20000, 20000)), tmp_path / "bomb.png")
    with pytest.raises(UserError, match=r"bomb\.png: claims more than 180 million pixels: cut it"):
        read_image(path)


def test_a_stack_of_images_is_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY), Image.fromarray(GREY)]
    path = saved(pages[0], tmp_path / "z.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(UserError, match=r"z\.tif: holds several images: save each in a file"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_to_eight(suffix: str, tmp_path: Path) -> None:
    path = saved(Image.fromarray(DEEP), tmp_path / f"deep{suffix}")
    np.testing.assert_array_equal(read_image(path), grey_as_rgb((DEEP // 257).astype(np.uint8)))


def test_big_endian_sixteen_bits_are_scaled_too(tmp_path: Path) -> None:
    """As cameras with Motorola byte order write them: a TIFF made by hand."""
    tags = [(256, 30), (257, 20), (258, 16), (259, 1), (262, 1), (273, 122), (278, 20), (279, 1200)]
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"MM\x00*" + struct.pack(">I", 8) + struct.pack(">H", len(tags)) + entries
    data = (head + bytes(4)).ljust(122, b"\x00") + DEEP.astype(">u2").tobytes()
    (tmp_path / "big.tif").write_bytes(data)
    expected = grey_as_rgb((DEEP // 257).astype(np.uint8))
    np.testing.assert_array_equal(read_image(tmp_path / "big.tif"), expected)
    np.testing.assert_array_equal(read_mask(tmp_path / "big.tif", 300), DEEP > 300)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_thirty_two_bits_are_refused(kind: type, tmp_path: Path) -> None:
    path = saved(Image.fromarray(DEEP.astype(kind)), tmp_path / "x.tif")
    with pytest.raises(UserError, match=r"x\.tif: 32 bits a pixel: save it with 8 or 16 bits"):
        read_image(path)


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(1, RGB), (3, RGB[::-1, ::-1]), (6, np.rot90(RGB, -1)), (8, np.rot90(RGB))],
)
def test_a_photograph_is_turned_as_its_camera_says(
    orientation: int, turned: np.ndarray, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(RGB), tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(path), turned)


def coloured(value: tuple[int, ...], mode: str) -> Image.Image:
    """A mask of 4×6 pixels whose pixel (1, 2) alone has a value."""
    image = Image.new(mode, (6, 4))
    image.putpixel((2, 1), value if len(value) > 1 else value[0])
    return image


# image, threshold: pixel (1, 2) alone is anomalous
MASKS: dict[str, tuple[Image.Image, int]] = {
    "0/255": (coloured((255,), "L"), 0),
    "value 1": (coloured((1,), "L"), 0),
    "above 127": (coloured((128,), "L"), 127),
    "bilevel": (coloured((1,), "1"), 127),
    "16 bits, dim": (coloured((1,), "I;16"), 0),
    "32 bits": (coloured((70000,), "I"), 0),
    "blue": (coloured((0, 0, 1), "RGB"), 0),
    "bright blue": (coloured((0, 0, 255), "RGB"), 127),
    "opaque": (Image.merge("LA", (coloured((9,), "L"), Image.new("L", (6, 4), 255))), 0),
    "palette": (coloured((1,), "P"), 0),
}


@pytest.mark.parametrize("name", MASKS)
def test_any_channel_above_the_threshold_is_anomalous(name: str, tmp_path: Path) -> None:
    image, threshold = MASKS[name]
    mask = read_mask(saved(image, tmp_path / "mask.tif"), threshold)
    assert mask.dtype == np.bool_
    assert mask.shape == (4, 6)
    assert np.argwhere(mask).tolist() == [[1, 2]]


def test_the_threshold_itself_is_normal(tmp_path: Path) -> None:
    values = np.array([[0, 126, 127, 128, 255]], dtype=np.uint8)
    path = saved(Image.fromarray(values), tmp_path / "mask.png")
    assert read_mask(path, 127).tolist() == [[False, False, False, True, True]]
    assert read_mask(path, 0).tolist() == [[False, True, True, True, True]]


def encoded(kind: str, **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x011A] = 6, "line 4", (72, 1)
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about the damage
@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_damaged_image_is_an_image_or_one_line(
    kind: str, read: Callable[[Path], np.ndarray], tmp_path: Path
) -> None:
    """Cut anywhere, or with any bytes changed: never another exception."""
    whole = encoded(kind)
    chance = random.Random(2)
    cut = [whole[:end] for end in range(0, len(whole) // 2, max(1, len(whole) // 80))]
    changed = []
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        changed.append(bytes(data))
    path = tmp_path / f"a.{kind.lower()}"
    messages = []
    for data in [*cut, *changed]:
        path.write_bytes(data)
        try:
            assert read(path).size > 0
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > len(cut)  # every one that was cut, and some that were changed
    assert {message.startswith(f"{path}: ") and "\n" not in message for message in messages} == {
        True
    }


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_orientation_is_named(tmp_path: Path) -> None:
    """The pixels are whole, but nobody can say which way is up."""
    data = encoded("WEBP")
    assert data.count(b"MM\x00*") == 1
    (tmp_path / "a.webp").write_bytes(data.replace(b"MM\x00*", b"MM\x00?"))
    with pytest.raises(UserError, match=r"a\.webp: not a whole image"):
        read_image(tmp_path / "a.webp")


@pytest.mark.parametrize("data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_named_with_the_remedy(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.png: not a whole image \(.+\); replace or remove"):
        read_image(tmp_path / "a.png")


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.png: the image is missing"):
        read_image(tmp_path / "gone.png")


def test_only_image_formats_are_decoded(tmp_path: Path) -> None:
    """What a suffix says is no reason to run any other decoder, such as EPS's, an interpreter."""
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    with pytest.raises(UserError, match=r"a\.png: not a whole image"):
        read_image(tmp_path / "a.png")
