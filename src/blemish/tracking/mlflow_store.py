"""The MLflow store: where it is, one writer at a time, and errors in one line."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from blemish.core.errors import UserError
from blemish.core.places import project_folder
from blemish.tracking.artifacts import folder_of, settle

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
LONGEST_WAIT = 1800  # s; another process may be uploading many models


def tracking_uri(uri: str | None, root: Path) -> str:
    """MLFLOW_TRACKING_URI, else `uri`, else `mlflow.db`; a relative SQLite path starts at home."""
    chosen = os.environ.get("MLFLOW_TRACKING_URI") or uri or f"{SQLITE}mlflow.db"
    if not chosen.startswith(SQLITE):
        return chosen
    path, mark, options = chosen.removeprefix(SQLITE).partition("?")
    return f"{SQLITE}{project_folder(root) / os.path.expanduser(path)}{mark}{options}"


def _database(address: str) -> Path | None:
    """The file of a SQLite address, None for servers."""
    if not address.startswith(SQLITE):
        return None
    return Path(address.removeprefix(SQLITE).partition("?")[0])


@contextmanager
def only_writer(address: str, root: Path) -> Iterator[None]:
    """Hold the store alone on this host.

    Two processes that open a fresh SQLite file both try to create its tables, and one crashes;
    and a run that another process is logging would look like one that was killed.
    """
    database = _database(address) or project_folder(root) / "mlflow.db"
    lock = FileLock(f"{database}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process that writes to {_shown(address)}", flush=True)
        try:
            lock.acquire(timeout=LONGEST_WAIT)
        except Timeout:
            raise UserError(
                f"{lock.lock_file}: another process has held MLflow's store for "
                f"{LONGEST_WAIT // 60} minutes; end it, then run `dvc repro track`"
            ) from None
    try:
        yield
    finally:
        lock.release()


def connect(address: str, experiment: str) -> "MlflowClient":
    """A client whose store has answered; creates and migrates a local database."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient

    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with _impatient():
        client = MlflowClient(address)
        client.get_experiment_by_name(experiment)
    return client


@contextmanager
def _impatient() -> Iterator[None]:
    """Ask a server that may be down for seconds; MLflow's default is to try for minutes.

    Only for the first question: once a server has answered, its hiccups are waited out.
    """
    short = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}
    unset = {name: value for name, value in short.items() if name not in os.environ}
    os.environ.update(unset)
    try:
        yield
    finally:
        for name in unset:
            del os.environ[name]


def experiment_in(client: "MlflowClient", name: str, address: str, root: Path) -> str:
    """The id of the experiment `name`, made if need be; a local one's files lie by its database."""
    experiment = _experiment_in(client, name, address)
    if database := _database(address):
        settle(database, experiment, folder_of(database, name), root)
    return experiment


def _experiment_in(client: "MlflowClient", name: str, address: str) -> str:
    from mlflow.exceptions import MlflowException

    existing = client.get_experiment_by_name(name)
    if existing is None:
        database = _database(address)
        artifacts = folder_of(database, name).as_uri() if database else None
        try:
            return client.create_experiment(name, artifact_location=artifacts)
        except MlflowException as error:
            # Another host was faster.
            existing = client.get_experiment_by_name(name)
            if existing is None:
                raise error from None
    if existing.lifecycle_stage != "active":
        raise UserError(
            f"MLflow experiment {name} is deleted in {_shown(address)}; restore it (`mlflow "
            f"experiments restore -x {existing.experiment_id}`) or set another tracking.experiment"
        )
    return existing.experiment_id


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Turn the store's failures into one line that names it and says what to do."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not _is_store_failure(error):
            raise
        first = (str(error).splitlines() or [""])[0][:300]
        raise UserError(
            f"MLflow at {_shown(address)} failed: {type(error).__name__}: {_shown(first)}; the "
            "results are safe on disk. Start that server or correct MLFLOW_TRACKING_URI (unset: a "
            "local mlflow.db), then run `dvc repro track`"
        ) from None


def _is_store_failure(error: Exception) -> bool:
    """Failures of the network, the database, its driver, the disk; all else is a fault of ours."""
    kinds = ("mlflow.", "sqlalchemy.", "requests.", "urllib3.")
    return isinstance(error, OSError | ImportError) or type(error).__module__.startswith(kinds)


def _shown(text: str) -> str:
    """The text without the password of an address in it."""
    return re.sub(r"(://[^:/@\s]*):[^@/\s]*@", r"\1:***@", text)
