"""Providers that do what they are told."""

from __future__ import annotations

import asyncio
from typing import Any

from agcod_async import Credentials

OLD = Credentials("AKIDOLD00001", "canary-secret-key-old")
NEW = Credentials("AKIDNEW00002", "canary-secret-key-new")
RENEWED = Credentials("AKIDOLD00001", "canary-secret-key-renewed")


class Vault:
    """
    Returns its ``pair`` after ``latency`` seconds, or raises it where it is an error.

    ``max_age`` is left out where it is None, as in the simplest of providers.
    """

    def __init__(self, pair: Any = OLD, *, latency: float = 0.0, max_age: float | None = None) -> None:
        self.pair = pair
        self.latency = latency
        self.asked: list[float] = []
        if max_age is not None:
            self.max_age = max_age

    async def get_credentials(self) -> Any:
        self.asked.append(asyncio.get_running_loop().time())
        pair = self.pair
        await asyncio.sleep(self.latency)
        if isinstance(pair, BaseException):
            raise pair
        return pair
