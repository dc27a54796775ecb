"""The families of HTTP clients that a session can send through."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.optional import require

FAMILIES = ("own", "httpx", "httpx2", "aiohttp")
INJECTED = FAMILIES[1:]

_CLIENTS = {
    "httpx": ("httpx", "AsyncClient"),
    "httpx2": ("httpx2", "AsyncClient"),
    "aiohttp": ("httpx_aiohttp", "HttpxAiohttpClient"),
}


def make_client(family: str, verify: ssl.SSLContext | bool = False, **options: Any) -> Any:
    """Return an open client of *family*, or None for the transport's own."""
    if family == "own":
        return None
    module, name = _CLIENTS[family]
    return getattr(require(module), name)(verify=verify, **options)


@asynccontextmanager
async def open_client(
    family: str, verify: ssl.SSLContext | bool = False, **options: Any
) -> AsyncIterator[Any]:
    """Yield a client of *family* and close it, as its owner would."""
    client = make_client(family, verify, **options)
    try:
        yield client
    finally:
        if client is not None:
            await client.aclose()
