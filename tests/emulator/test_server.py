"""The gateway on a socket."""

import asyncio
import json
import ssl
from pathlib import Path

import httpx
import pytest

from agcod_async.emulator import Emulator

from . import foreign


async def test_a_card_is_sold_over_tls():
    """A client that trusts the printed authority gets a card, and the money for it is gone."""
    emulator = Emulator()
    body = json.dumps(foreign.create_fields("Acme1order1")).encode()
    async with emulator.serve() as server:
        trust = ssl.create_default_context(cafile=server.ca_file)
        async with httpx.AsyncClient(verify=trust) as client:
            headers = foreign.signed_headers(emulator, server.url, "CreateGiftCard", body)
            response = await client.post(f"{server.url}/CreateGiftCard", content=body, headers=headers)
    card = response.json()
    assert response.status_code == 200
    assert card["status"] == "SUCCESS"
    assert card["cardInfo"]["cardStatus"] == "Fulfilled"
    assert emulator.state.cards["Acme1order1"].gc_id == card["gcId"]
    assert emulator.partner.funds == 10_000 - emulator.state.spent("Acme1")


async def test_nothing_is_left_behind():
    """No task, socket or file outlives the server, even when a client is still connected."""
    emulator = Emulator()
    before = asyncio.all_tasks()
    async with emulator.serve() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /CreateGiftCard HTTP/1.1\r\n")
    assert await reader.read() == b""
    writer.close()
    assert asyncio.all_tasks() == before
    assert not Path(server.ca_file).parent.exists()


async def test_only_loopback_is_bound():
    """Nobody opens a gateway to the network by accident."""
    with pytest.raises(ValueError, match="allow_remote"):
        async with Emulator().serve(host="0.0.0.0"):
            pass
