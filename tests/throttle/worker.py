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
from typing import Any

from agcod_async import Endpoint
from agcod_async.throttle.redis import RedisThrottle


async def main(config: dict[str, Any]) -> dict[str, Any]:
    clock = asyncio.get_running_loop().time
    events: list[str] = []
    waits: list[float] = []
    throttle = RedisThrottle(
        config["partner"],
        Endpoint.NA_SANDBOX,
        config["url"],
        expected_processes=config["processes"],
        hooks=[lambda event: events.append(type(event).__name__)],
    )
    judge = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    judge.connect(("127.0.0.1", config["judge"]))

    async def want() -> None:
        while True:
            start = clock()
            await throttle.acquire("CreateGiftCard")
            judge.send(config["name"].encode())
            waits.append(clock() - start)

    tasks = [asyncio.create_task(want()) for _ in range(config["tasks"])]
    await asyncio.sleep(config["seconds"])
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    round_trips = throttle._store.round_trips
    await throttle.aclose()
    judge.close()
    return {
        "events": events,
        "waits": waits,
        "round_trips": round_trips,
        "left_over": len(asyncio.all_tasks()) - 1,
        "clock": time.time(),
    }


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    true_time, skew = time.time, arguments["skew"]
    time.time = lambda: true_time() + skew
    print(json.dumps(asyncio.run(main(arguments))))
