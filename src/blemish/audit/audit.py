"""The audit of a unit's "good" images: a table of all, and a sheet of the most suspicious ones."""

from pathlib import Path

import pandas as pd

from blemish.audit.ranking import Ranking
from blemish.audit.sheet import Entry, draw_sheet
from blemish.core.errors import UserError
from blemish.images.framing import sizes_of
from blemish.images.manifest import Manifest, read_manifest
from blemish.images.store import ImageStore
from blemish.methods.training_data import normals_of
from blemish.methods.view import choose_view
from blemish.methods.view_params import ViewParams

SIDE = 256  # pixels of a window's side, as in the quick profile
WINDOWS = 16  # of an image at most, in the mean
TABLE, SHEET = "audit.csv", "sheet.jpg"
NORMAL = 1.4826  # deviations of a normal distribution in its median absolute deviation


def write_audit(prepared: Path, folder: Path, sheet: int, store: ImageStore) -> str:
    """Rank the normals of "train" and "val", write `audit.csv` and `sheet.jpg`, say what was found.

    The table has a row an image, most abnormal first: rank, image, split, score (distance in
    features), deviations (from the median, robust). Raises UserError for an image that cannot be
    read, and where there is nothing to compare an image with.
    """
    manifest = read_manifest(prepared)
    good = (manifest.rows["split"] != "test") & (manifest.rows["label"] == 0)
    rows = manifest.rows[good].reset_index(drop=True)
    table, entries = ranked(Manifest(rows, manifest.facts, manifest.root), store, sheet)
    table.to_csv(folder / TABLE, index=False, float_format="%.6g")
    draw_sheet(entries).save(folder / SHEET, quality=90)
    first = table.iloc[0]
    return (
        f"{manifest.facts.unit}: {first['image']} looks least like the other {len(table) - 1} "
        f"normal images ({first['deviations']:+.1f} deviations); the first {len(entries)} are on "
        f"{SHEET}"
    )


def ranked(manifest: Manifest, store: ImageStore, sheet: int) -> tuple[pd.DataFrame, list[Entry]]:
    """The table of all images of a manifest, and what the sheet shows of its first rows."""
    rows = manifest.rows
    asked = ViewParams(image_size=SIDE, resize="auto").asked(manifest.framing())
    framing = choose_view(asked, sizes_of(rows)).framing
    title = f"reading {manifest.facts.unit}"
    windows = normals_of(store, manifest.root, rows, framing, title, WINDOWS * len(rows))
    owners = windows.owners.numpy()
    # Images of one group show the same thing: another one of it proves nothing.
    groups, known = pd.factorize(rows["group"].fillna(rows["image"]))
    if len(known) < 2:
        raise UserError(
            f"{manifest.facts.unit}: all its normal images show the same thing (one group): "
            "there is none to compare one with: take it out of `audit.units`"
        )
    ranking = Ranking(windows, groups[owners].tolist())
    scores = pd.Series(ranking.scores.numpy())
    worst = scores.groupby(owners).idxmax().to_numpy()  # the window that speaks for its image
    table = rows[["image", "split"]].assign(score=scores[worst].to_numpy(), window=worst)
    table["deviations"] = _deviations(table["score"])
    table = table.sort_values(["score", "image"], ascending=[False, True], ignore_index=True)
    entries = [
        Entry(
            str(row["image"]),
            float(row["deviations"]),
            windows[slice(row["window"], row["window"] + 1)][0].permute(1, 2, 0).numpy(),
            ranking.maps[row["window"]].numpy(),
        )
        for _, row in table.head(sheet).iterrows()
    ]
    table.insert(0, "rank", table.index + 1)
    return table.drop(columns="window"), entries


def _deviations(scores: pd.Series) -> pd.Series:
    """From the median, in robust standard deviations; 0 where all are equal."""
    away = scores - scores.median()
    spread = NORMAL * away.abs().median()
    return away / spread if spread > 0 else away * 0
