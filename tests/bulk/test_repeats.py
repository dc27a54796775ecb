"""References that occur twice in a file: found exactly, in little memory."""

from __future__ import annotations

from hypothesis import given, strategies as st

from agcod_async import Money
from agcod_async.bulk import repeats
from agcod_async.bulk.problems import Problems
from agcod_async.bulk.repeats import Repeats
from agcod_async.bulk.source import Chunk
from agcod_async.ledger import Intent
from tests.support.properties import examples


def chunk_of(rows):
    intents = [Intent(reference=str(name), value=Money(amount, "USD")) for name, amount in rows]
    return Chunk([*range(1, len(rows) + 1)], intents)


def found(chunk, problems):
    """Do what a survey does."""
    repeats = Repeats()
    repeats.collect(chunk.intents)
    for suspects in repeats.suspects():
        repeats.compare(chunk, suspects, {}, problems)
    repeats.settle()
    return repeats


@examples(200)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, 2)), max_size=40),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_the_first_of_each_is_kept(rows, sorted_at_once, compared_at_once):
    """However the work is divided: the same value once, another value a problem."""
    before = repeats._SORTED_AT_ONCE, repeats._COMPARED_AT_ONCE
    repeats._SORTED_AT_ONCE, repeats._COMPARED_AT_ONCE = sorted_at_once, compared_at_once
    try:
        problems = Problems()
        left = found(chunk_of(rows), problems).without(chunk_of(rows))
    finally:
        repeats._SORTED_AT_ONCE, repeats._COMPARED_AT_ONCE = before
    first = {}
    for line, (name, amount) in enumerate(rows, 1):
        first.setdefault(str(name), (line, amount))
    assert left.lines == [line for line, _ in first.values()]
    assert [intent.reference for intent in left.intents] == list(first)
    others = [line for line, (name, amount) in enumerate(rows, 1) if first[str(name)][1] != amount]
    assert sorted(problem.line for problem in problems.first) == others


def test_two_references_with_one_hash_are_two():
    """Hashes only raise a suspicion: nobody goes unpaid for a coincidence."""

    class Coincidence(str):
        __slots__ = ()

        def __hash__(self):
            return 1

    rows = [Coincidence("a"), Coincidence("b"), Coincidence("a")]
    chunk = Chunk([1, 2, 3], [Intent(reference=name, value=Money(1, "USD")) for name in rows])
    left = found(chunk, Problems()).without(chunk)
    assert left.lines == [1, 2]
