"""What params.yaml must satisfy beyond its types: known units and methods, nothing twice."""

from collections.abc import Iterable
from typing import Any

from blemish.core.errors import UserError, suggestion
from blemish.core.params import PARAMS_FILE, Params
from blemish.datasets.registry import check_unit
from blemish.methods.registry import METHODS


def check_grid(params: Params) -> None:
    """Raise UserError naming the first unit, method or seed that cannot be run."""
    lists: dict[str, list[Any]] = {
        "units": params.units,
        "methods": params.methods,
        "seeds": params.seeds,
        "data.foreground": params.data.foreground,
        "audit.units": params.audit.units,
        "synthesis.weak": params.synthesis.weak,
        "synthesis.weak_visibility": params.synthesis.weak_visibility,
    }
    for key, values in lists.items():
        repeated = next((value for value in values if values.count(value) > 1), None)
        if repeated is not None:
            raise UserError(f"{PARAMS_FILE}: `{key}` lists {repeated!r} twice: remove one")
    for index, name in enumerate(params.methods):
        if name not in METHODS:
            raise UserError(
                f"{PARAMS_FILE}: `methods.{index}` is {name!r}: unknown method"
                f"{suggestion(name, list(METHODS))}; valid: {', '.join(METHODS)}"
            )
        if params.evaluation.protocol == "paper":
            _check_author_protocol(params, name)
    for key in ("units", "data.foreground"):
        for index, unit in enumerate(lists[key]):
            check_unit(unit, params.data.folders, f"{PARAMS_FILE}: `{key}.{index}`")
    for unit in params.audit.units:
        if unit not in params.units:
            raise UserError(
                f"{PARAMS_FILE}: `audit.units` lists {unit!r}, which `units` does not: add it there"
            )
    per_unit: dict[str, Iterable[str]] = {
        "data.zones": params.data.zones,
        "data.selection": params.data.selection,
        "audit.drop": params.audit.drop,
    }
    for key, named in per_unit.items():
        for unit in named:
            check_unit(unit, params.data.folders, f"{PARAMS_FILE}: a unit of `{key}`")
    _check_framings(params)


def _check_author_protocol(params: Params, method: str) -> None:
    said = f"{PARAMS_FILE}: `evaluation.protocol` is 'paper'"
    if METHODS[method].chooses_epoch and not params.training.keep_every:
        raise UserError(
            f"{said}, which for {method} chooses the best epoch on the test set, but "
            "`training.keep_every` is 0: set it to 1"
        )
    resize = params.method(method).resize
    if resize not in ("squash", "crop"):
        raise UserError(
            f"{said}, but `{method}.resize` is {resize!r}, which no authors did: set it to squash "
            "or crop"
        )


def _check_framings(params: Params) -> None:
    """Every method must be able to see a unit as `data.framing` asks."""
    for unit, framing in params.data.framing.items():
        where = f"{PARAMS_FILE}: `data.framing.{unit}`"
        check_unit(unit, params.data.folders, where)
        if framing.resize in ("fit", "tiles", "auto") and params.evaluation.protocol == "paper":
            raise UserError(
                f"{where}: `evaluation.protocol` is 'paper', whose authors only squash or crop: "
                "remove one of the two"
            )
        for name in params.methods if unit in params.units else ():
            try:
                params.method(name, unit).asked(framing)
            except ValueError as error:
                reason = str(error).split("Value error, ")[-1].split(" [type=")[0]
                raise UserError(f"{where}, `{name}`: {reason}") from None
