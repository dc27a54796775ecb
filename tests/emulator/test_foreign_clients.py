"""Clients that nobody here wrote, unchanged but for host and trust."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="pip install agcod-async[emulator]")
pytest.importorskip("trustme", reason="pip install agcod-async[emulator]")

import httpx

from agcod_async.emulator import Emulator
from tests.support.optional import require

from . import clients, foreign

NODE_CLIENT = "agcod@1.0.4"
STORY = """
const AGCOD = require('agcod')
const client = new AGCOD({
  endpoint: {NA: {host: process.env.HOST, region: process.env.AGCOD_REGION}},
  partnerId: process.env.AGCOD_PARTNER_ID,
  credentials: {
    accessKeyId: process.env.AGCOD_ACCESS_KEY_ID,
    secretAccessKey: process.env.AGCOD_SECRET_ACCESS_KEY
  }
})
const seen = []
const show = (error, answer) => seen.push({error, answer})
const first = client.createGiftCard('NA', 12.5, 'USD', (error, answer) => {
  show(error, answer)
  client.createGiftCardAgain('NA', 12.5, 'USD', first.sequentialId, (error, again) => {
    show(error, again)
    client.cancelGiftCard('NA', first.sequentialId, answer.gcId, (error, cancelled) => {
      show(error, cancelled)
      client.createGiftCard('NA', -1, 'USD', (error, refused) => {
        show(error, refused)
        console.log(JSON.stringify(seen))
      })
    })
  })
})
"""


def _missing(reason):
    """Skip with an explanation, or fail where everything has to be there."""
    if os.environ.get("AGCOD_TEST_REQUIRE") == "1":
        pytest.fail(f"{reason}, and AGCOD_TEST_REQUIRE=1 demands it")
    pytest.skip(reason)


async def _run(*arguments, folder, environment=None, seconds=90):
    process = await asyncio.create_subprocess_exec(
        *arguments,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        return 1, "", f"no end within {seconds} s"
    return process.returncode, output.decode(), errors.decode()


@pytest.fixture
async def emulator_server():
    """A real gateway in real time, and an emulator to look into."""
    emulator = Emulator(throttle=None)
    async with emulator.serve() as running:
        yield emulator, running


@pytest.fixture
async def node_folder(tmp_path):
    """A folder in which the npm package is installed."""
    if not (shutil.which("node") and shutil.which("npm")):
        _missing("node and npm are not on this machine (apt-get install nodejs npm)")
    flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--fetch-retries=0")
    code, _, errors = await _run("npm", "install", *flags, NODE_CLIENT, folder=tmp_path)
    if code:
        _missing(f"npm could not install {NODE_CLIENT}: {errors.strip()[-200:]}")
    return tmp_path


@pytest.mark.reveals("files", because="somebody else's client comes with examples of codes")
@pytest.mark.reveals("output", because="somebody else's client prints what it gets")
async def test_the_npm_package_agcod(node_folder, emulator_server):
    """Creates, repeats, cancels and is refused: its callbacks see what its README promises."""
    emulator, running = emulator_server
    script = Path(node_folder) / "story.js"
    script.write_text(STORY)
    environment = {
        **running.environment,
        "HOST": f"localhost:{running.port}",
        "NODE_EXTRA_CA_CERTS": running.ca_file,
        "NODE_NO_WARNINGS": "1",
    }
    code, output, errors = await _run(
        "node", str(script), folder=node_folder, environment=environment, seconds=30
    )
    assert code == 0, errors
    created, again, cancelled, refused = json.loads(output)
    (card,) = emulator.state.cards.values()
    assert created["answer"] == again["answer"]
    assert created["answer"]["gcId"] == card.gc_id
    assert created["answer"]["cardInfo"]["value"] == {"amount": 12.5, "currencyCode": "USD"}
    assert cancelled["answer"]["status"] == "SUCCESS"
    assert card.is_cancelled
    assert refused["error"]["statusCode"] == 400
    assert refused["error"]["errorType"] == "InvalidAmountValue"


async def test_botocore(emulator_server):
    """Signed by the AWS SDK for Python."""
    emulator, running = emulator_server
    async with clients.client_of(httpx, running) as client:
        fields = foreign.create_fields("Acme1botocore")
        response = await clients.post(client, emulator, running.url, "CreateGiftCard", fields)
    assert response.json()["gcId"] == emulator.state.cards["Acme1botocore"].gc_id


async def test_awscrt(emulator_server):
    """Signed by the C library under the newer AWS SDKs."""
    require("awscrt")
    from io import BytesIO

    from awscrt import auth, http

    emulator, running = emulator_server
    partner, body = emulator.partner, json.dumps(foreign.create_fields("Acme1awscrt")).encode()
    wanted = {"host": f"localhost:{running.port}", "accept": foreign.JSON, "content-type": foreign.JSON}
    headers = http.HttpHeaders(list(wanted.items()))
    request = http.HttpRequest("POST", "/CreateGiftCard", headers, BytesIO(body))
    provider = auth.AwsCredentialsProvider.new_static(partner.access_key_id, partner.secret_access_key)
    config = auth.AwsSigningConfig(
        algorithm=auth.AwsSigningAlgorithm.V4,
        signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=provider,
        region="us-east-1",
        service="AGCODService",
    )
    signed = await asyncio.to_thread(auth.aws_sign_request(request, config).result, 10)
    async with clients.client_of(httpx, running) as client:
        url = f"{running.url}/CreateGiftCard"
        response = await client.post(url, content=body, headers=dict(signed.headers))
    assert response.json()["gcId"] == emulator.state.cards["Acme1awscrt"].gc_id


async def test_requests_aws4auth(emulator_server):
    """Signed by a library for requests, with headers of its own choice."""
    require("requests_aws4auth")
    import requests
    from requests_aws4auth import AWS4Auth

    emulator, running = emulator_server
    partner = emulator.partner
    auth = AWS4Auth(partner.access_key_id, partner.secret_access_key, "us-east-1", "AGCODService")

    def send():
        return requests.post(
            f"{running.url}/CreateGiftCard",
            # Bytes, because for text the library writes a charset behind the content type.
            data=json.dumps(foreign.create_fields("Acme1requests")).encode(),
            headers={"content-type": foreign.JSON, "accept": foreign.JSON},
            auth=auth,
            verify=running.ca_file,
            timeout=10,
        )

    response = await asyncio.to_thread(send)
    assert response.json()["gcId"] == emulator.state.cards["Acme1requests"].gc_id
