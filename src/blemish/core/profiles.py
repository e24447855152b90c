"""Profiles: other numbers for params.yaml, written with its comments kept.

The code holds each setting's default, the authors' of the methods; a profile names what differs.
"""

from collections.abc import Iterable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.error import CommentMark, YAMLError
from ruamel.yaml.tokens import CommentToken

from blemish.core.errors import UserError
from blemish.core.files import finished_file
from blemish.core.params import PARAMS_FILE, Params, default_settings, load_params, read_yaml

GRID = ("units", "methods", "seeds")
RESET = "reset"  # of a profile: what it does not name goes back to the defaults


def apply_profile(name: str, profiles: Path, target: Path) -> list[str]:
    """Write a profile into `target`; return what changed as `key: old → new`.

    The settings that `profiles/<name>.yaml` names are set; with `reset: true` in it the others of
    the methods, and those of other sections that any profile names, go back to the defaults. The
    result is checked before `target` is replaced. Raises UserError for an unknown profile,
    one that holds the grid, or one with a bad key or value.
    """
    read_yaml(target)  # reports a missing or broken file
    path = profiles / f"{name}.yaml"
    known = sorted(file.stem for file in profiles.glob("*.yaml"))
    if name not in known:
        raise UserError(f"{path}: there is no such profile; there are: {', '.join(known)}")
    differences = {profile: read_yaml(profiles / f"{profile}.yaml") for profile in known}
    for key in GRID:
        if key in differences[name]:
            raise UserError(f"{path}: `{key}` belongs to the grid, not to a profile: remove it")
    reset = differences[name].pop(RESET, False)
    wanted = _defaults_of(differences.values()) if reset else {}
    _overlay(wanted, differences[name])
    yaml = _keeping_style()
    content = yaml.load(target.read_text(encoding="utf-8"))
    changed = list(_update(content, wanted, ""))
    with finished_file(target) as temporary:
        yaml.dump(content, temporary)
        try:
            load_params(temporary)
        except UserError as error:
            raise UserError(f"with {path}, {error}") from None
    return changed


def _defaults_of(profiles: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The defaults of all settings of the methods, and of the others that some profile names."""
    defaults = default_settings()
    general = Params.model_fields.keys()
    wanted: dict[str, Any] = {key: value for key, value in defaults.items() if key not in general}
    for profile in profiles:
        named = {key: value for key, value in profile.items() if key in general}
        _overlay(wanted, _restricted(defaults, named))
    return wanted


def _restricted(defaults: dict[str, Any], named: Any) -> dict[str, Any]:
    """The defaults of the keys that a profile names, at any depth; unknown keys are left out."""
    if not isinstance(named, dict):
        return {}
    return {
        key: _restricted(defaults[key], value) if isinstance(defaults[key], dict) else defaults[key]
        for key, value in named.items()
        if key in defaults
    }


def _overlay(settings: dict[str, Any], changes: dict[str, Any]) -> None:
    """Put `changes` into nested `settings`; a mix of kinds is a whole and replaces the old one."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(settings.get(key), dict) and key != "kinds":
            _overlay(settings[key], value)
        else:
            settings[key] = value


def set_params(overrides: list[str], target: Path = PARAMS_FILE) -> list[str]:
    """Write `key.path=value` settings into `target`, values as in YAML; return what changed.

    The result is checked before `target` is replaced. Raises UserError naming a bad setting.
    """
    read_yaml(target)  # reports a missing or broken file
    yaml = _keeping_style()
    content = yaml.load(target.read_text(encoding="utf-8"))
    changed: list[str] = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not (equals and key):
            raise UserError(f"-S {override!r}: expected KEY=VALUE, e.g. -S glass.epochs=20")
        try:
            value = YAML(typ="safe", pure=True).load(text)
        except YAMLError:
            raise UserError(f"-S {override!r}: {text!r} is no YAML value") from None
        for part in reversed(key.split(".")):
            value = {part: value}
        changed += _update(content, value, "")
    with finished_file(target) as temporary:
        yaml.dump(content, temporary)
        load_params(temporary)
    return changed


def _keeping_style() -> YAML:
    """YAML that leaves untouched lines as they are: `- ` indented by two, quotes, `null`."""
    yaml = YAML()
    yaml.width = 100
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(
        type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def _update(content: MutableMapping[str, Any], wanted: dict[str, Any], where: str) -> Iterator[str]:
    for key, value in wanted.items():
        old = content.get(key)
        if isinstance(value, dict) and isinstance(old, MutableMapping):
            yield from _update(old, value, f"{where}{key}.")
            # A mix of kinds is a whole: a share beside those of the profile would change it.
            for extra in [name for name in old if key == "kinds" and name not in value]:
                if old[extra]:
                    yield f"{where}{key}.{extra}: {old[extra]} → 0.0"
                    old[extra] = 0.0
        elif old != value:
            yield f"{where}{key}: {old} → {value}"
            if isinstance(value, list) and isinstance(old, CommentedSeq):
                _refill(old, value)
            else:
                content[key] = _in_one_line(value) if isinstance(value, list) else value


def _in_one_line(items: list[Any]) -> CommentedSeq:
    """[a, b] where there was no list: a setting keeps its line."""
    sequence = CommentedSeq(items)
    sequence.fa.set_flow_style()
    return sequence


def _refill(old: CommentedSeq, items: list[Any]) -> None:
    """Other items in a list that keeps its style, comments of items that stay, and those below."""
    beside: dict[str, CommentToken] = {}
    below = ""
    for number, (token, *_) in old.ca.items.items():
        if token is None:  # a comment within [ ], or before its item, goes with its place
            continue
        beside[str(old[number])] = token
        below = token.value.partition("\n")[2]  # what follows the list hangs on its last item
    old[:] = items
    old.ca.items.clear()
    for number, item in enumerate(items):
        token = beside.get(str(item))
        text = token.value.partition("\n")[0] if token else ""
        under = below if number == len(items) - 1 else ""
        if text or under:
            mark = CommentMark(token.start_mark.column if token else 0)
            old.ca.items[number] = [CommentToken(f"{text}\n{under}", mark, None), None, None, None]
