from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from agcod_async import CallableCredentials, ConfigurationError, Credentials
from agcod_async.credentials.function import OneAtATime

PAIR = Credentials("AKIDEXAMPLE", "example-secret")


async def test_an_async_function_is_awaited():
    """Most secret stores have an asyncio client."""

    async def fetch() -> Credentials:
        await asyncio.sleep(0)
        return PAIR

    assert await CallableCredentials(fetch).get_credentials() is PAIR


async def test_a_function_that_blocks_runs_in_a_thread():
    """And the loop goes on meanwhile."""
    threads: list[int] = []
    going = threading.Event()

    def fetch() -> Credentials:
        assert going.wait(5)
        threads.append(threading.get_ident())
        return PAIR

    asking = asyncio.create_task(CallableCredentials(fetch).get_credentials())
    await asyncio.sleep(0)
    going.set()
    assert await asking is PAIR
    assert threads != [threading.get_ident()]


@pytest.mark.parametrize(
    "make", [lambda fetch: lambda: fetch(1), lambda fetch: type("Vault", (), {"__call__": fetch})()]
)
async def test_what_only_returns_something_to_await_is_awaited_too(make):
    """A lambda or an object around an async function looks like any other callable."""

    async def fetch(*_: object) -> Credentials:
        return PAIR

    assert await CallableCredentials(make(fetch)).get_credentials() is PAIR


async def test_one_that_hangs_takes_one_thread():
    """Asked for each reward, it would otherwise take every thread of the executor, the ledger's too."""
    calls: list[int] = []
    release = threading.Event()

    def hang() -> str:
        calls.append(1)
        assert release.wait(5)
        return "done"

    ask = OneAtATime(hang)
    for _ in range(20):
        asking = asyncio.create_task(ask())
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    joined = asyncio.create_task(ask())
    await asyncio.sleep(0)
    release.set()
    assert (await joined, len(calls)) == ("done", 1)
    assert (await ask(), len(calls)) == ("done", 2)


def test_each_loop_has_its_own_turn():
    """A provider may serve sessions of two loops; what hangs in the first must not hang the second."""
    release, begun = threading.Event(), threading.Event()

    def slow() -> str:
        if not begun.is_set():
            begun.set()
            assert release.wait(5)
        return "done"

    ask = OneAtATime(slow)
    first = threading.Thread(target=lambda: asyncio.run(ask()))
    first.start()
    assert begun.wait(5)
    assert asyncio.run(ask()) == "done"
    release.set()
    first.join()


async def test_what_it_raises_is_raised():
    """To whoever asked; the session says that nothing was sent."""

    def broken() -> Credentials:
        raise OSError("sealed")

    with pytest.raises(OSError, match="sealed"):
        await CallableCredentials(broken).get_credentials()


def test_what_cannot_be_called_is_refused():
    """When it is made, and not with the first reward."""
    with pytest.raises(ConfigurationError, match="function: something to be called"):
        CallableCredentials(PAIR)
    with pytest.raises(ConfigurationError, match="max_age"):
        CallableCredentials(lambda: PAIR, max_age=-1)


HANGING = """
import asyncio, threading
from agcod_async import *

async def main():
    vault = CallableCredentials(threading.Event().wait)
    options = {"credentials_timeout": 0.05, "retry": RetryPolicy(max_attempts=1)}
    async with AgcodSession("Acme1", vault, Endpoint.NA_SANDBOX, **options) as session:
        try:
            await session.get_available_funds()
        except CredentialsUnavailable as error:
            print(error.outcome)

asyncio.run(main())
"""


def test_a_function_that_hangs_does_not_hold_up_the_end_of_the_program():
    """A script that has said what is wrong ends: nobody is there to press Ctrl-C in a job of the night."""
    command = [sys.executable, "-W", "error", "-c", HANGING]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("not_sent\n", "")
