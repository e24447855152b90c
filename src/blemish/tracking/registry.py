"""MLflow's registry: a registered model a unit, with the aliases `champion` and `previous`."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blemish.core.errors import UserError
from blemish.core.workspace import Run
from blemish.tracking import run_content

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

CHAMPION, PREVIOUS = "champion", "previous"
TAGS = ("unit", "method", "seed", run_content.RESULT_TAG)


def registry_name(unit: str) -> str:
    """elpv/mono → elpv.mono: the registry's names have neither `/` nor `:`."""
    return re.sub("[/:]", ".", unit)


@dataclass(frozen=True)
class Registry:
    """The registry of a store, and the experiment whose models it takes."""

    client: "MlflowClient"
    experiment_id: str

    def model_of(self, run: Run) -> "LoggedModel":
        """The model that `track` has logged of a result; UserError if it has not."""
        wanted = f"tags.`{run_content.RESULT_TAG}` = '{run_content.digest(run)}'"
        found = self.client.search_logged_models([self.experiment_id], filter_string=wanted)
        ready = [model for model in found if str(model.status) == "READY"]
        if not ready:
            raise UserError(
                f"{run_content.title(run)}: MLflow does not hold this model: run `dvc repro track`"
            )
        return ready[0]

    def promote(self, unit: str, model: "LoggedModel", why: str) -> bool:
        """Make a model the champion, and the one before `previous`; False if it is so already.

        A kill between the two leaves the old champion under both names.
        """
        registered = self._registered(unit)
        if registered is None:
            name = registry_name(unit)
            registered = self.client.create_registered_model(name, tags={"unit": unit})
        champion = _alias(registered, CHAMPION)
        version = self._version_of(registered.name, model, why)
        if version == champion:
            return False
        if champion is not None:
            self.client.set_registered_model_alias(registered.name, PREVIOUS, champion)
        self.client.set_registered_model_alias(registered.name, CHAMPION, version)
        return True

    def back(self, unit: str) -> "ModelVersion":
        """Let champion and previous change places; returns the new champion."""
        registered = self._registered(unit)
        champion, previous = (_alias(registered, name) for name in (CHAMPION, PREVIOUS))
        if registered is None or champion is None or previous is None:
            raise UserError(f"{unit}: no champion before this one: there is nothing to go back to")
        self.client.set_registered_model_alias(registered.name, CHAMPION, previous)
        self.client.set_registered_model_alias(registered.name, PREVIOUS, champion)
        return self.client.get_model_version(registered.name, previous)

    def _registered(self, unit: str) -> "RegisteredModel | None":
        """The unit's registered model; UserError where its name is that of another unit's."""
        name = registry_name(unit)
        if not self.client.search_registered_models(f"name = '{name}'"):
            return None
        registered = self.client.get_registered_model(name)
        other = registered.tags.get("unit", unit)
        if other != unit:
            raise UserError(f"{unit}: {name} is the registered model of {other}: rename a folder")
        return registered

    def _version_of(self, name: str, model: "LoggedModel", why: str) -> str:
        """The version that this model is, made if need be."""
        source = f"models:/{model.model_id}"
        for version in self.client.search_model_versions(f"name = '{name}'"):
            if version.source == source:
                return str(version.version)
        made = self.client.create_model_version(
            name,
            source,
            run_id=model.source_run_id,
            tags={tag: model.tags[tag] for tag in TAGS},
            description=why,
            model_id=model.model_id,
        )
        return str(made.version)


def _alias(registered: "RegisteredModel | None", name: str) -> str | None:
    """The version with an alias: stores give numbers or text."""
    version = registered.aliases.get(name) if registered else None
    return None if version is None else str(version)
