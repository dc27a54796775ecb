"""The pytest plugin, as a project that uses the library sees it."""

import os
import subprocess
import sys
import venv
from datetime import timedelta
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from agcod_async import Money, ResendError
from agcod_async.emulator import FaultKind
from agcod_async.testing import NoThrottle, agcod_emulator, agcod_no_wait, agcod_session

__all__ = ["agcod_emulator", "agcod_no_wait", "agcod_session"]

FIVE_LINES = """
import pytest
from agcod_async import Money
@pytest.mark.anyio
async def test_a_reward_is_issued(agcod_session, agcod_emulator):
    card = await agcod_session.create_gift_card("Acme1order1", Money("25.00", "USD"))
    assert agcod_emulator.state.cards["Acme1order1"].gc_id == card.gc_id
"""
REALISTIC = """
import pytest
@pytest.fixture
def agcod_no_wait():
    return False
def test_rates_are_kept(agcod_session, agcod_emulator):
    assert agcod_emulator.state.throttle.overall.requests == 10
"""


async def test_a_session_and_its_emulator(agcod_session, agcod_emulator):
    """What one does, the other knows."""
    card = await agcod_session.create_gift_card("Acme1order1", Money("25.00", "USD"))
    assert agcod_emulator.state.cards["Acme1order1"].gc_id == card.gc_id
    assert agcod_emulator.partner.funds == 9975


async def test_nothing_waits(agcod_session):
    """Fifty calls for the price of none, though the account allows ten a second."""
    for _ in range(50):
        await agcod_session.get_available_funds()


async def test_time_can_be_shifted(agcod_session, agcod_emulator):
    """The session signs with the emulator's clock, so a day passes without a stale signature."""
    await agcod_session.create_gift_card("Acme1order1", Money("25.00", "USD"))
    agcod_emulator.clock.freeze()
    agcod_emulator.clock.shift(timedelta(hours=24))
    with pytest.raises(Exception, match="CancelRequestArrivedAfterTimeLimit"):
        await agcod_session.cancel_gift_card("Acme1order1")


async def test_faults_are_seen_by_the_session(agcod_session, agcod_emulator):
    """One lost answer is survived; an outage of the service is not, and says that the outcome is open."""
    agcod_emulator.faults.once(FaultKind.DROP_AFTER)
    await agcod_session.create_gift_card("Acme1order1", Money("25.00", "USD"))
    for _ in range(5):
        agcod_emulator.faults.once(FaultKind.RESEND_BEFORE)
    with pytest.raises(ResendError) as caught:
        await agcod_session.create_gift_card("Acme1order2", Money("25.00", "USD"))
    assert caught.value.outcome == "unknown"


class TestInRealTime:
    """With the switch the other way round."""

    @pytest.fixture
    def agcod_no_wait(self):
        return False

    async def test_rates_are_kept(self, agcod_session, agcod_emulator):
        """By the session's own throttle and by the emulator's."""
        assert agcod_emulator.state.throttle.overall.requests == 10
        assert not isinstance(agcod_session._throttle, NoThrottle)
        await agcod_session.get_available_funds()


async def test_the_throttle_that_is_none():
    """It has all that a throttle has, and none of it waits."""
    throttle = NoThrottle()
    throttle.refused("CreateGiftCard")
    throttle.accepted("CreateGiftCard", 0.1)
    await throttle.acquire("CreateGiftCard", priority="bulk", max_wait=0.0)
    assert (throttle.waiting, throttle.rate, throttle.next_slot) == (0, float("inf"), 0.0)
    await throttle.aclose()


def _run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(
    os.environ.get("AGCOD_TEST_REQUIRE") != "1",
    reason="installs into a new environment from the registry: set AGCOD_TEST_REQUIRE=1 to run it",
)
@pytest.mark.reveals("files", because="in the bytecode of a whole environment something looks like a code")
def test_after_one_pip_install(tmp_path):
    """Five lines and one command, outside of this repository, with warnings as errors."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    _run(python, "-m", "pip", "install", "--quiet", f"{Path(__file__).parent.parent}[testing]", cwd=tmp_path)
    (tmp_path / "test_rewards.py").write_text(FIVE_LINES)
    assert "1 passed" in _run(python, "-m", "pytest", "-q", "-W", "error", "test_rewards.py", cwd=tmp_path)


@pytest.mark.parametrize("test", [FIVE_LINES, REALISTIC], ids=["five lines", "switch"])
def test_in_a_project_of_its_own(test, tmp_path):
    """A folder with one file and no configuration at all."""
    (tmp_path / "test_rewards.py").write_text(test)
    # Where the package is only on the path, not installed, pytest cannot find the plugin by itself.
    is_installed = entry_points(group="pytest11", name="agcod")
    options = ["-q", "."] if is_installed else ["-q", "-p", "agcod_async.testing", "."]
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        f"import pytest; sys.exit(pytest.main({options!r}))"
    )
    assert "passed" in _run(sys.executable, "-c", script, cwd=tmp_path)
