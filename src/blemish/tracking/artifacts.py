"""Where a local store keeps its files: relative to the project, so that it can be moved or copied.

MLflow makes every path absolute that it is told, so the rows of its database are written here. A
relative one starts where MLflow runs, which is the project's folder.
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from blemish.core.places import project_folder

# What has files in an experiment's folder: its table, its key, the column of the place, and the
# folder there.
HELD = (
    ("runs", "run_uuid", "artifact_uri", ""),
    ("logged_models", "model_id", "artifact_location", "models/"),
)
# A registered version repeats where its model's files lie.
REGISTERED = "UPDATE model_versions SET storage_location = ? WHERE storage_location = ?"


def folder_of(database: Path, experiment: str) -> Path:
    """Where the files of an experiment lie: beside its database."""
    return database.parent / "mlruns" / re.sub(r"[^\w.-]", "_", experiment)


def settle(database: Path, experiment_id: str, folder: Path, root: Path) -> None:
    """Let the database name `folder` for an experiment, and for those of its runs and models whose
    files lie there now, wherever the project was when they were logged. Places of another kind are
    left."""
    inside = folder.is_relative_to(project_folder(root))
    place = (
        quote(folder.relative_to(project_folder(root)).as_posix()) if inside else folder.as_uri()
    )
    tail = f"/mlruns/{folder.name}"
    with closing(sqlite3.connect(database, timeout=60)) as rows, rows:
        (before,) = rows.execute(
            "SELECT artifact_location FROM experiments WHERE experiment_id = ?", [experiment_id]
        ).fetchone()
        if before == place or not before.startswith(("file:", "/")) or not before.endswith(tail):
            return
        rows.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
            [place, experiment_id],
        )
        for table, key, column, kind in HELD:
            held = rows.execute(
                f"SELECT {key}, {column} FROM {table} WHERE experiment_id = ?", [experiment_id]
            ).fetchall()
            for name, uri in held:
                part = f"{kind}{name}/artifacts"
                if uri.endswith(f"{tail}/{part}") and (folder / part).is_dir():
                    new = f"{place}/{part}"
                    rows.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", [new, name])
                    rows.execute(REGISTERED, [new, uri])
