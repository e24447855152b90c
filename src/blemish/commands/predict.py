"""`blemish predict`: score images with a trained model, write what was found."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    Path, typer.Argument(help="A trained model's folder: models/<unit>/<method>-<seed>.")
]
Images = Annotated[
    list[str],
    typer.Argument(
        help="Folders (with all images below them), quoted globs, .txt or .lst files with a path a "
        "line, image files."
    ),
]
LabelMe = Annotated[
    Path | None,
    typer.Option(
        "--labelme",
        help="Folder for LabelMe JSON: a polygon for each region. Files that are there are kept.",
    ),
]
Scores = Annotated[
    Path | None, typer.Option(help="Table of scores and decisions, .csv or .parquet.")
]
Heatmaps = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the anomaly maps in colour (PNG); the map's threshold is the middle of "
        "the colours, in all images alike."
    ),
]
Overlays = Annotated[
    Path | None,
    typer.Option(help="Folder for the images under their maps, regions outlined (PNG)."),
]
Maps = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the maps as numbers (float32 NPY), which `blemish metrics` reads."
    ),
]
MapsAsTiff = Annotated[
    bool,
    typer.Option(
        "--maps-as-tiff",
        help="Maps as float16 TIFF, as benchmark.mvtec.com takes them (MVTec AD 2).",
    ),
]
Rate = Annotated[
    float,
    typer.Option(
        min=0,
        max=0.999,
        help="Share of good images that may be alarms, and likewise have regions. Both thresholds "
        "follow, from the validation normals in model.json.",
    ),
]
Threshold = Annotated[
    float | None, typer.Option(help="Images with a higher score are alarms; overrides the rate.")
]
MapThreshold = Annotated[
    float | None, typer.Option(help="Regions are where the map is higher; overrides the rate.")
]
Zones = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the zones of the images, as data/zones/<unit>; by default those of the "
        "model, where all its images share them."
    ),
]
MinArea = Annotated[
    int, typer.Option(min=1, help="Pixels, at the image's size, of the smallest region.")
]
Simplify = Annotated[
    float,
    typer.Option(
        min=0, max=100, help="Pixels by which polygons may be simplified; 0 keeps every pixel."
    ),
]
Label = Annotated[str, typer.Option(help="What regions are called in LabelMe.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace LabelMe files that are there.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON lines: one an image, the last is the summary.")
]


def predict(
    model: Model,
    images: Images,
    labelme: LabelMe = None,
    scores: Scores = None,
    heatmaps: Heatmaps = None,
    overlays: Overlays = None,
    maps: Maps = None,
    maps_as_tiff: MapsAsTiff = False,
    false_alarm_rate: Rate = 0.05,
    threshold: Threshold = None,
    map_threshold: MapThreshold = None,
    zones: Zones = None,
    min_area: MinArea = 16,
    simplify: Simplify = 1.0,
    label: Label = "defect",
    overwrite: Overwrite = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Find defects in any images with a trained model.

    A folder stands for all images in it and below; links to folders are followed, as in training.
    Images are read, judged and forgotten one after the other. Results are at the images' own size;
    in each output folder they have the images' names. Without outputs, a line an image is printed.

    A run replaces what an earlier one wrote, but for LabelMe files, which may hold a person's work.
    Every file is whole at any time; the table of scores appears when the run ends.

    Images that cannot be read are named and skipped.

    Exit status: 0; 3 if images were skipped; 1 if the run could not start or go on.

    Example: blemish predict models/elpv/mono/glass-0 photos --scores found.csv --overlays look
    """
    from blemish.predict.session import Request, run

    status = run(
        Request(
            model=model,
            images=images,
            scores=scores,
            labelme=labelme,
            heatmaps=heatmaps,
            overlays=overlays,
            maps=maps,
            false_alarm_rate=false_alarm_rate,
            threshold=threshold,
            map_threshold=map_threshold,
            min_area=min_area,
            tolerance=simplify,
            label=label,
            overwrite=overwrite,
            device=device,
            as_json=as_json,
            maps_as_tiff=maps_as_tiff,
            zones=zones,
        )
    )
    raise typer.Exit(status)
