"""What a killed training goes on from: all that training changes, in one file without pickles.

It lies outside DVC's outputs, in checkpoints/, in a folder named by a digest of all that the model
follows from: a checkpoint of other inputs, parameters or code is never found.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from blemish.core.files import finished_file, sha256

CHECKPOINTS = Path("checkpoints")
FILE = "state.safetensors"


class NotANumber(ValueError):
    """What is to be kept holds NaN: nothing good can follow from it."""


class Stateful(Protocol):
    """A module, an optimiser, a scheduler."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


State = Stateful | torch.Generator


@dataclass(frozen=True)
class Moment:
    """The end of an epoch: `epoch` of `phase` are done, `finished` are the phases before it."""

    phase: str = ""
    epoch: int = 0
    finished: tuple[str, ...] = ()
    curves: list[dict[str, float]] = field(default_factory=list)
    states: list[Any] = field(default_factory=list)


class Checkpoint:
    """The checkpoints of one training, at most one of each key."""

    def __init__(self, folder: Path, key: str) -> None:
        self.parent = folder
        self.folder = folder / key

    def load(self) -> Moment | None:
        """The moment to go on from; None if there is none that can be read."""
        try:
            with safe_open(self.folder / FILE, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                tree = _decoded(json.loads(file.metadata()["moment"]), tensors)
            return Moment(**tree | {"finished": tuple(tree["finished"])})
        except (OSError, SafetensorError, KeyError, ValueError, TypeError):
            return None

    def save(self, moment: Moment) -> None:
        """Replace what was kept. Raises OSError where the disk refuses, NotANumber for a NaN."""
        tensors: dict[str, Tensor] = {}
        tree = _encoded(vars(moment), tensors)
        if any(tensor.is_floating_point() and tensor.isnan().any() for tensor in tensors.values()):
            raise NotANumber
        with finished_file(self.folder / FILE) as temporary:
            save_file(tensors, temporary, {"moment": json.dumps(tree)})

    def remove(self) -> None:
        """Forget this training, whatever its key was."""
        shutil.rmtree(self.parent, ignore_errors=True)


def state_of(thing: State) -> Any:
    """All that `restore` needs."""
    return thing.get_state() if isinstance(thing, torch.Generator) else thing.state_dict()


def restore(thing: State, state: Any) -> None:
    """Put a thing back to where `state_of` saw it."""
    if isinstance(thing, torch.Generator):
        thing.set_state(state)
    else:
        thing.load_state_dict(state)


def key_of(facts: Any, files: Iterable[Path]) -> str:
    """A digest of JSON-able facts and of the bytes of files, folders being walked."""
    hasher = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for path in files:
        inside = (
            sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else []
        )
        for file in inside or [path]:
            if file.is_file():
                name = file.relative_to(path).as_posix()
                hasher.update(f"{name} {sha256(file)}\n".encode())
    return hasher.hexdigest()[:32]


def _encoded(value: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON in which each tensor is a name; keys keep their type (optimisers number theirs)."""
    if isinstance(value, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _encoded(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encoded(item, tensors) for item in value]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _decoded(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _decoded(item, tensors) for key, item in content}
    items = [_decoded(item, tensors) for item in content]
    return items if kind == "list" else tuple(items)
