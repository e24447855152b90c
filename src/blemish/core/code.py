"""Which code and which packages a stage runs, read from the import statements without importing.

DVC must know what made a cached result. The stage `code` writes one small file for each stage,
each method and each data set; `dvc.yaml` names that file instead of a list of modules. Comments,
docstrings and layout do not count: only what the program does.
"""

import ast
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions, packages_distributions
from importlib.util import resolve_name
from pathlib import Path

from blemish.core.errors import UserError

SOURCE = Path(__file__).resolve().parents[2]  # src/


@dataclass(frozen=True)
class Imports:
    """What one file imports: files of Blemish, and the top-level names of other packages."""

    files: tuple[Path, ...]
    packages: frozenset[str]


def describe(starts: Iterable[Path], lock: dict[str, str]) -> dict[str, dict[str, str]]:
    """The code that `starts` run, and the locked versions of the packages that this code imports.

    {"code": {file: digest}, "packages": {name: version}}; equal code gives an equal description.
    Raises UserError for a package that `lock` does not hold.
    """
    files = closure(starts)
    imported = set[str]().union(*(imports_of(file).packages for file in files))
    return {
        "code": {_name(file): digest_of(file) for file in sorted([*files, *data_files(files)])},
        "packages": _versions(imported - sys.stdlib_module_names - {"blemish"}, lock),
    }


def closure(starts: Iterable[Path]) -> set[Path]:
    """`starts` and every file below src/ that they import, directly or not, at any depth of code.

    Imports by computed name (the registries) cannot be seen; who uses one names the file itself.
    """
    reached: set[Path] = set()
    waiting = [start.resolve() for start in starts]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += imports_of(path).files
    return reached


def imports_of(path: Path) -> Imports:
    """What a file imports anywhere in it, `find_spec("name")` of a package that holds data too."""
    package = ".".join(path.relative_to(SOURCE).parent.parts) if path.is_relative_to(SOURCE) else ""
    # Python runs the packages around a module before it, whoever imports it.
    names = [*([package] if package else []), *_imported_names(path.read_bytes(), package)]
    files: list[Path] = []
    for name in names:
        parts = name.split(".")
        # Importing a.b.c runs a/__init__ and a/b/__init__ too.
        levels = (module_file(".".join(parts[:depth])) for depth in range(1, len(parts) + 1))
        files += [file for file in levels if file is not None]
    return Imports(tuple(files), frozenset(name.partition(".")[0] for name in names))


@cache
def _imported_names(content: bytes, package: str) -> tuple[str, ...]:
    nodes = _nodes_that_run(ast.parse(content))
    return tuple(dict.fromkeys(name for node in nodes for name in _names_in(node, package)))


def _nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but what stands under `if TYPE_CHECKING:`, which never runs."""
    yield tree
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name("TYPE_CHECKING"), orelse=others):
                for other in others:
                    yield from _nodes_that_run(other)
            case _:
                yield from _nodes_that_run(node)


def _names_in(node: ast.AST, package: str) -> Iterator[str]:
    match node:
        case ast.Import():
            yield from (alias.name for alias in node.names)
        case ast.ImportFrom():
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        case ast.Call(func=ast.Name("find_spec"), args=[ast.Constant(str(name))]):
            yield name


def module_file(name: str) -> Path | None:
    """`blemish.prepare.split` → its file; None for what is not Blemish's."""
    path = SOURCE.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if name.partition(".")[0] == "blemish" and candidate.is_file():
            return candidate
    return None


def data_files(modules: Iterable[Path]) -> set[Path]:
    """The files that are not code and lie beside or below the modules: templates, tables."""
    folders = {module.parent for module in modules if module.name != "__init__.py"}
    return {
        file
        for folder in folders
        if folder.is_relative_to(SOURCE)
        for file in folder.rglob("*")
        if file.is_file() and file.suffix not in {".py", ".pyc", ".typed"}
        if next(above for above in file.parents if (above / "__init__.py").exists()) == folder
    }


def digest_of(path: Path) -> str:
    """A digest of what a file does: of a module without comments, docstrings and layout."""
    content = path.read_bytes()
    meaning = _without_prose(content) if path.suffix == ".py" else content
    return hashlib.sha256(meaning).hexdigest()[:16]


@cache
def _without_prose(content: bytes) -> bytes:
    tree = ast.parse(content)
    for node in ast.walk(tree):
        _remove_docstring(node)
    return ast.unparse(tree).encode()


def _remove_docstring(node: ast.AST) -> None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        match node.body:
            case [ast.Expr(ast.Constant(str())), *rest]:
                node.body = rest or [ast.Pass()]


def read_lock(path: Path) -> dict[str, str]:
    """Package → version of the lines `name==version`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("==") for line in lines if not line.startswith("#"))
    return {_normal(name): version.strip() for name, equals, version in pairs if equals}


@cache
def installed() -> dict[str, str]:
    """Package → version of what is installed here, in the form of `read_lock`."""
    return {_normal(package.metadata["Name"]): package.version for package in distributions()}


def _versions(imported: set[str], lock: dict[str, str]) -> dict[str, str]:
    """Versions by package; several packages may share an import name, as opencv's do."""
    installed = _packages_by_import()
    versions: dict[str, str] = {}
    for name in imported:
        packages = {_normal(package) for package in installed.get(name, [name])}
        locked = {package: lock[package] for package in packages if package in lock}
        if not locked:
            raise UserError(
                f"requirements.lock: {name!r} is imported but not pinned: install it, then "
                "`make lock`"
            )
        versions |= locked
    return versions


@cache
def _packages_by_import() -> Mapping[str, list[str]]:
    return packages_distributions()


def _normal(package: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", package.strip()).lower()


def _name(file: Path) -> str:
    """Relative to the project, so that a copy elsewhere has the same description."""
    return file.relative_to(SOURCE.parent).as_posix()
