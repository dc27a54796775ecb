"""The error of a bad file."""

from __future__ import annotations

import pickle

import pytest

from agcod_async import AgcodError, ConfigurationError, InvalidRewards
from agcod_async.bulk.problems import Problems


def test_an_error_tells_three_and_carries_the_rest():
    """A message is for a line of a log, the problems are for a program."""
    problems = Problems()
    problems.check("r.csv")
    for line in range(1500, 0, -1):
        problems.note(line, "amount" if line % 2 else None, "it is wrong")
    with pytest.raises(InvalidRewards) as caught:
        problems.check("r.csv")
    error = caught.value
    assert isinstance(error, ConfigurationError)
    assert error.outcome == "not_sent"
    assert str(error) == (
        "r.csv: nothing was sent: line 501: amount: it is wrong; line 502: it is wrong; "
        "line 503: amount: it is wrong; and 1497 more"
    )
    assert (len(error.problems), error.count) == (1000, 1500)
    assert pickle.loads(pickle.dumps(error)).problems == error.problems
    assert issubclass(InvalidRewards, AgcodError)
