"""Which files are images: what is decoded, and by which suffix such a file is known."""

# What is read, by Pillow's name of the format. Formats that run a program (EPS), hold documents
# (PDF) or only announce an image are none of them: files are hostile input.
FORMATS = {
    "PNG": ".png .apng",
    "JPEG": ".jpg .jpeg .jpe .jfif",
    "BMP": ".bmp .dib",
    "TIFF": ".tif .tiff",
    "WEBP": ".webp",
    "PPM": ".ppm .pgm .pbm .pnm",
    "GIF": ".gif",
    "TGA": ".tga .icb .vda .vst",
    "JPEG2000": ".jp2 .j2k .j2c .jpc .jpf .jpx",
    "AVIF": ".avif",
    "PCX": ".pcx",
    "SGI": ".sgi .bw .rgb .rgba",
    "QOI": ".qoi",
}
IMAGE_FORMATS = tuple(FORMATS)
IMAGE_SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes.split())
