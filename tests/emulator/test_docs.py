"""The page about the emulator says everything that there is to set."""

import dataclasses
import re
from pathlib import Path

import pytest

from agcod_async.emulator import FaultKind, Settings

PAGE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Settings)])
def test_every_switch_is_explained(name):
    """A switch that nobody can find is a surprise."""
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("kind", list(FaultKind))
def test_every_fault_is_explained(kind):
    """With what a client sees of it."""
    assert f"`{kind}`" in PAGE


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_run(example):
    """As they stand."""
    exec(compile(example, "docs/emulator.md", "exec"), {"__name__": "example"})
