"""The planted mistakes fit the program as it is; whether they are caught takes longer to say."""

from __future__ import annotations

from pathlib import Path

import pytest

import agcod_async
from tests.simulation.mutants import MUTANTS

PACKAGE = Path(agcod_async.__file__).parent


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_has_one_place(mutant):
    """What is changed in the program must not leave a mutant without the line that it breaks."""
    source = (PACKAGE / f"{mutant.module.replace('.', '/')}.py").read_text()
    assert source.count(mutant.old) == 1
    compile(source.replace(mutant.old, mutant.new), mutant.module, "exec")
