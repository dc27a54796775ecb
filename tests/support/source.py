"""What the package's source says about itself, read without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import agcod_async

PACKAGE = Path(agcod_async.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path.read_text(
        "utf-8"
    )
    for path in sorted(PACKAGE.rglob("*.py"))
}
"""Dotted name below the package to source; ``__init__`` is the package itself."""

_DETERMINISM = {"time.time", "time.time_ns", "time.sleep", "datetime.datetime.utcnow", "datetime.date.today"}
_SAFE_RANDOM = {"Random", "SystemRandom"}


def own_imports(module: str, source: str, in_package: bool) -> set[str]:
    """Return the dotted names below the package that *source* imports, under TYPE_CHECKING or not."""
    here = module.split(".") if module != "__init__" else []
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            up = node.level - (1 if in_package else 0)
            absolute = (node.module or "").split(".")
            if node.level:
                base = [*here[: len(here) - up], *absolute] if node.module else here[: len(here) - up]
            elif absolute[0] == "agcod_async":
                base = absolute[1:]
            else:
                continue
            # ``from . import codecs`` names modules, ``from .codecs import JSON`` a module's content.
            found |= {".".join(base)} if base else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            found |= {
                name.partition(".")[2] or "__init__" for name in names if name.split(".")[0] == "agcod_async"
            }
    return found


def foreign_imports(source: str) -> set[str]:
    """Return the top-level names of the other packages that *source* imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
    return found


def clocks_and_dice(source: str) -> Iterator[str]:
    """Yield each use of the process's own clock, sleep or randomness in *source*."""
    tree = ast.parse(source)
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        name = _dotted(node, known)
        library, _, function = name.partition(".")
        if name in _DETERMINISM or (
            library == "random" and function and function.split(".")[0] not in _SAFE_RANDOM
        ):
            yield name


def _dotted(node: ast.AST, known: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return known.get(node.id, "")
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value, known)
        return f"{base}.{node.attr}" if base else ""
    return ""
