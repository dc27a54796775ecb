"""Real clients, and what they make of a gateway that misbehaves."""

import json
import ssl

import httpx
import pytest

from . import foreign

httpx2 = pytest.importorskip("httpx2", reason="pip install agcod-async[httpx2]")

LIBRARIES = {"httpx": httpx, "httpx2": httpx2}


async def post(client, emulator, url, operation, fields, **options):
    """Send one signed request."""
    body = json.dumps(fields).encode()
    headers = foreign.signed_headers(emulator, url, operation, body, **options)
    return await client.post(
        f"{url}/{operation}", content=body, headers={**headers, "accept-encoding": "identity"}
    )


def client_of(library, server, **options):
    """A client that trusts the server's authority."""
    verify = ssl.create_default_context(cafile=server.ca_file) if server.ca_file else True
    return library.AsyncClient(verify=verify, trust_env=False, **options)
