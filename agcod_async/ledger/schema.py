"""The tables, as numbered files that only go forward."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

Dialect = Literal["sqlite", "postgres"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of the schema. Its script notes the new version itself."""

    number: int
    name: str
    script: str


def migrations(dialect: Dialect) -> list[Migration]:
    """Return the steps in their order."""
    folder = files(__name__.rpartition(".")[0]).joinpath("sql", dialect)
    paths = sorted(
        (path for path in folder.iterdir() if path.name.endswith(".sql")), key=lambda path: path.name
    )
    return [
        Migration(number=int(path.name[:4]), name=path.name, script=path.read_text(encoding="utf-8"))
        for path in paths
    ]


def schema(dialect: Dialect) -> str:
    """Return the whole schema, for teams that apply migrations by a tool of their own."""
    return "\n".join(f"-- {step.name}\n\n{step.script}" for step in migrations(dialect))
