"""What the page shows of one method on one unit, written as files: figures, pictures, the GIF."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from blemish.core.files import link
from blemish.core.workspace import Run
from blemish.metrics.table import TABLE, metric_of
from blemish.report import figures, views

View = dict[str, Any]  # what a template takes


@dataclass(frozen=True)
class Assets:
    """A folder of pictures below the page's; what it adds, it returns ready for an <img>."""

    page: Path
    base: str

    def below(self, name: str) -> "Assets":
        return Assets(self.page, f"{self.base}/{name}")

    def svg(self, name: str, text: str, title: str, alt: str) -> View:
        path = self.page / self.base / f"{name}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return {"src": quote(f"{self.base}/{name}.svg"), "title": title, "alt": alt}

    def picture(self, source: Path, name: str) -> View:
        with Image.open(source) as image:
            width, height = image.size
        link(source, self.page / self.base / name)
        return {"src": quote(f"{self.base}/{name}"), "width": width, "height": height}


def write_figures(assets: Assets, runs: list[Run]) -> list[View]:
    """Scores, curves and training of a method's runs, which differ in the seed."""
    first, seed = runs[0], f", seed {runs[0].seed}" if len(runs) > 1 else ""
    drawn = [("scores", f"Scores{seed}", _histogram(first)), *_curves(runs)]
    training = {run.seed: run.training_curves() for run in runs}
    columns = (str(name) for table in training.values() for name in table)
    names = [name for name in dict.fromkeys(columns) if name != "epoch"]
    for file, title, losses in (("training", "losses", True), ("progress", "progress", False)):
        chosen = [name for name in names if name.startswith("loss") == losses]
        if chosen:
            drawn.append((file, f"Training {title}", figures.training(training, chosen)))
    if "robustness" in first.record:
        svg = figures.robustness(first.robustness())
        drawn.append(("robustness", f"Other light, other place{seed}", svg))
    return [
        assets.svg(name, svg, title, f"{title}: {first.method} on {first.unit}")
        for name, title, svg in drawn
    ]


def _histogram(run: Run) -> str:
    scores = run.scores().query("headline")
    good, defective = (scores.loc[scores["label"] == label, "score"].tolist() for label in (0, 1))
    decides = "zones" not in run.record
    threshold = run.record["threshold"]["image"] if decides else None
    return figures.score_histogram(good, defective, threshold)


def _curves(runs: list[Run]) -> list[tuple[str, str, str]]:
    """(file, title, SVG) of the curves of images and, where PRO is defined, of pixels."""

    def curves(name: str, x: str, y: str) -> figures.Curves:
        return {run.seed: run.curve(name, x, y) for run in runs}

    at = [run.record["threshold"] for run in runs]
    rates = [(point["test_false_alarm_rate"], point["recall"]) for point in at]
    precisions = [(point["recall"], point["precision"]) for point in at]
    roc = figures.by_seed(
        curves("roc", "fpr", "tpr"), "false-positive rate", "true-positive rate", rates, True
    )
    pr = figures.by_seed(curves("pr", "recall", "precision"), "recall", "precision", precisions)
    drawn = [("roc", "ROC, images", roc), ("pr", "Precision and recall, images", pr)]
    aupro, metrics = TABLE["pixel_aupro"], runs[0].metrics
    if any(value is not None and metric_of(name) is aupro for name, value in metrics.items()):
        axes = ("pixel false-positive rate", "per-region overlap")
        pro = figures.by_seed(curves("pro", "fpr", "pro"), *axes, limit=aupro.limit)
        drawn.append(("pro", "Per-region overlap, pixels", pro))
    return drawn


def write_pictures(assets: Assets, run: Run) -> list[View]:
    """The heat maps of one run in groups of one kind, in the order of `views.KINDS`."""
    threshold = run.record["threshold"]["image"]
    entries = run.heatmaps()
    groups = []
    for kind, (title, text) in views.KINDS.items():
        items = [
            assets.picture(run.results / entry["file"], entry["file"])
            | views.caption(entry, threshold)
            | {
                "views": [
                    assets.picture(run.results / view["file"], view["file"])
                    | {"caption": view["caption"]}
                    for view in entry["views"]
                ]
            }
            for entry in entries
            if entry["kind"] == kind
        ]
        items.sort(key=lambda item: item["right"] == "right")  # what went wrong comes first
        if items:
            text = text if "zones" in run.record else f"{text} Threshold {threshold:.4g}."
            groups.append({"kind": kind, "title": title, "text": text, "items": items})
    return groups


def write_animation(assets: Assets, run: Run) -> View | None:
    """The GIF of one run, with a still for readers who want no motion."""
    source = run.animation()
    if source is None:
        return None
    still = assets.page / assets.base / "animation.png"
    still.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as frames:
        frames.convert("RGB").save(still)
        count = getattr(frames, "n_frames", 1)
    view = assets.picture(source, "animation.gif")
    return view | {"still": quote(f"{assets.base}/animation.png"), "frames": count}
