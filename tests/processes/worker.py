"""
A worker process as a user would write it: jobs come in on stdin, cards go out on stdout.

Nothing here knows that it may be killed, frozen or cut off at any moment.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime

import msgspec

from agcod_async import AgcodError, AgcodSession, IssuedGiftCard, Issuer, Money, RetryPolicy
from agcod_async.errors import LedgerError
from agcod_async.issuer import OnUnknown
from agcod_async.ledger import Ledger
from tests.ledger.worker import opened
from tests.support.fast_time import FastClock, FastLoop

RECOVER_EVERY = 5.0


class Order(msgspec.Struct, kw_only=True):
    """How a worker is to work."""

    place: str
    began: datetime
    speed: float = 1.0
    max_attempts: int = 2
    timeout: float = 20.0


class Job(msgspec.Struct, kw_only=True, tag_field="do", tag="issue"):
    number: int
    reference: str
    amount: str = "25.00"
    on_unknown: OnUnknown = "complete"
    budget: float = 60.0
    patience: float | None = None
    """After so many seconds whoever asked hangs up."""


class Undo(msgspec.Struct, kw_only=True, tag_field="do", tag="undo"):
    number: int
    reference: str
    budget: float = 60.0


class Said(msgspec.Struct, kw_only=True):
    """What became of a job: a card, a receipt's state, or the name of an error."""

    number: int
    error: str | None = None
    outcome: str | None = None
    detail: str = ""
    state: str | None = None
    gc_id: str | None = None
    code: str | None = None


async def done(issuer: Issuer, job: Job | Undo) -> Said:
    try:
        if isinstance(job, Undo):
            receipt = await issuer.undo(job.reference, budget=job.budget)
            return Said(number=job.number, state=receipt.state)
        async with asyncio.timeout(job.patience):
            card = await issued(issuer, job)
    except (AgcodError, TimeoutError) as error:
        outcome = getattr(error, "outcome", None)
        return Said(number=job.number, error=type(error).__name__, outcome=outcome, detail=str(error))
    return Said(number=job.number, state="issued", gc_id=card.gc_id, code=card.claim_code.reveal())


async def issued(issuer: Issuer, job: Job) -> IssuedGiftCard:
    value = Money(job.amount, "USD")
    return await issuer.issue(job.reference, value, on_unknown=job.on_unknown, budget=job.budget)


async def jobs() -> AsyncIterator[Job | Undo]:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    decode = msgspec.json.Decoder(Job | Undo).decode
    while line := await reader.readline():
        yield decode(line)


async def recover_for_ever(issuer: Issuer) -> None:
    while True:
        # If the store is away, the next round finds it again.
        with suppress(LedgerError):
            await issuer.recover()
        await asyncio.sleep(RECOVER_EVERY)


async def serve(session: AgcodSession, ledger: Ledger) -> None:
    issuer = Issuer(session, ledger)
    recovering = asyncio.create_task(recover_for_ever(issuer))

    async def answer(job: Job | Undo) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(await done(issuer, job)) + b"\n")
        sys.stdout.buffer.flush()

    async with asyncio.TaskGroup() as group:
        async for job in jobs():
            group.create_task(answer(job))
    recovering.cancel()
    await asyncio.wait([recovering])


async def main(order: Order) -> None:
    clock = FastClock(order.began, order.speed)
    session = AgcodSession.from_env(
        timeout=order.timeout,
        retry=RetryPolicy(max_attempts=order.max_attempts),
        clock=clock,
    )
    async with session, opened(order.place, clock) as ledger:
        await serve(session, ledger)


if __name__ == "__main__":
    given = msgspec.json.decode(sys.argv[1], type=Order)
    with asyncio.Runner(loop_factory=lambda: FastLoop(given.speed)) as runner:
        runner.run(main(given))
