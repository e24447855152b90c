"""Which files of Blemish a script runs, read from the import statements, without importing.

DVC must know the code behind a cached result: `sources` stores the digest of a data set's code,
and a test compares `dvc.yaml` with the closure of each stage.
"""

import ast
import hashlib
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent  # src/


def closure(start: Path) -> set[Path]:
    """`start` and every file below src/ that it imports, directly or not, at any depth of code.

    Imports by computed name (the registries) cannot be seen; who uses one names the file itself.
    """
    found: set[Path] = set()
    waiting = [start.resolve()]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(path)
    return found


def digest(start: Path) -> str:
    """SHA-256 over the names and bytes of a closure."""
    lines = []
    for path in sorted(closure(start)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(f"{path.relative_to(SOURCE).as_posix()} {content}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def module_file(name: str) -> Path | None:
    """`blemish.data.split` → its file; None for what is not Blemish's."""
    path = SOURCE.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if name.partition(".")[0] == "blemish" and candidate.is_file():
            return candidate
    return None


def _imported(path: Path) -> Iterator[Path]:
    package = ".".join(path.relative_to(SOURCE).parent.parts) if path.is_relative_to(SOURCE) else ""
    # Python runs the packages around a module before it, whoever imports it.
    names = [package] if package else []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    for name in names:
        parts = name.split(".")
        # Importing a.b.c runs a/__init__ and a/b/__init__ too.
        for depth in range(1, len(parts) + 1):
            file = module_file(".".join(parts[:depth]))
            if file is not None:
                yield file
