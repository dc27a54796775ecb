"""
One process of a fleet: tasks that want slots all the time, and tell a judge of each.

Run as ``python -m tests.throttle.worker '{"url": ...}'``; prints what it saw as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from agcod_async import AgcodSession, Endpoint, Money, RetryPolicy, ThrottlingError
from agcod_async.throttle.redis import RedisThrottle


class WatchedThrottle(RedisThrottle):
    """Tells the judge of each slot, and remembers how long each call waited for it."""

    def __init__(self, config: dict[str, Any], **options: Any) -> None:
        super().__init__(config["partner"], Endpoint.NA_SANDBOX, config["url"], **options)
        self.waits: list[float] = []
        self.name = config["name"].encode()
        self.judge = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.judge.connect(("127.0.0.1", config["judge"]))

    async def acquire(self, operation: str, /, **options: Any) -> None:
        clock = asyncio.get_running_loop().time
        start = clock()
        await super().acquire(operation, **options)
        self.judge.send(self.name)
        self.waits.append(clock() - start)

    async def aclose(self) -> None:
        await super().aclose()
        self.judge.close()


async def take_slots(throttle: WatchedThrottle) -> None:
    while True:
        await throttle.acquire("CreateGiftCard")


async def main(config: dict[str, Any]) -> dict[str, Any]:
    events: list[str] = []
    refusals = 0
    throttle = WatchedThrottle(
        config,
        expected_processes=config["processes"],
        hooks=[lambda event: events.append(type(event).__name__)],
    )
    session, numbers = None, count()
    if environment := config.get("environment"):
        session = AgcodSession.from_env(
            environment,
            throttle=throttle,
            retry=RetryPolicy(max_attempts=1),
            clock=lambda: datetime.now(UTC) + timedelta(seconds=config["skew"]),
        )

    async def create(session: AgcodSession) -> None:
        nonlocal refusals
        while True:
            try:
                await session.create_gift_card(f"Acme1{config['name']}{next(numbers)}", Money("0.15", "USD"))
            except ThrottlingError:
                refusals += 1

    if session:
        # The first call of a process is slower than those after it by more than the margin allows for:
        # it makes the TLS context and the connection.
        await session.create_gift_card(f"Acme1{config['name']}first", Money("0.15", "USD"))
        await asyncio.sleep(1)
    tasks = [
        asyncio.create_task(create(session) if session else take_slots(throttle))
        for _ in range(config["tasks"])
    ]
    await asyncio.sleep(config["seconds"])
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    round_trips = throttle._store.round_trips
    if session:
        await session.aclose()
    await throttle.aclose()
    return {
        "events": events,
        "waits": throttle.waits,
        "round_trips": round_trips,
        "refusals": refusals,
        "errors": [repr(result) for result in results if isinstance(result, Exception)],
        "left_over": len(asyncio.all_tasks()) - 1,
        "clock": time.time(),
    }


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    true_time, skew = time.time, arguments["skew"]
    time.time = lambda: true_time() + skew
    print(json.dumps(asyncio.run(main(arguments))))
