"""The control API."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

pytest.importorskip("uvicorn", reason="pip install agcod-async[emulator]")
pytest.importorskip("trustme", reason="pip install agcod-async[emulator]")

from agcod_async.emulator import Emulator, FaultKind
from tests.support.optional import require

from . import clients, foreign

TOKEN = "a-token-of-good-length"


@pytest.fixture
async def panel(emulator):
    """A client of the control API of the emulator."""
    async with emulator.serve(control_port=0, control_token=TOKEN) as running:
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with clients.client_of(httpx, running, base_url=running.control_url, headers=headers) as client:
            client.gateway_url = running.url
            yield client


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"bearer {TOKEN}x"]
)
async def test_nobody_steers_without_the_token(panel, header):
    """Not even to look."""
    del panel.headers["authorization"]
    headers = {} if header is None else {"authorization": header}
    for method, path in (("GET", "/state"), ("POST", "/clock"), ("DELETE", "/faults"), ("GET", "/nothing")):
        assert (await panel.request(method, path, headers=headers)).status_code == 401


@pytest.mark.parametrize("token", [None, "", "short"])
async def test_the_token_cannot_be_left_out_or_guessed(token):
    """Before anything is bound."""
    with pytest.raises(ValueError, match="token"):
        async with Emulator().serve(control_port=0, control_token=token):
            pass


async def test_it_is_not_on_the_port_of_the_gateway(panel):
    """A client under test cannot reach it by mistake."""
    response = await panel.get(f"{panel.gateway_url}/_control/state")
    assert response.status_code in (403, 404)


async def test_the_state_is_shown_in_numbers(panel, emulator):
    """What a test in another language asserts on; no claim code, no secret."""
    foreign.ask(emulator, "CreateGiftCard", foreign.create_fields("Acme1a"))
    assert (await panel.get("/state")).json() == {
        "now": "2026-03-02T12:00:00Z",
        "is_frozen": True,
        "funds": {"Acme1": "9974.5"},
        "spent": {"Acme1": "25.5"},
        "cards": 1,
        "activations": 0,
        "loads": 0,
        "activity": 1,
        "late": 0,
    }


async def test_faults_are_armed_and_disarmed(panel, emulator):
    """By the fields of a rule; what fired is listed."""
    order = {"kind": "drop_after", "operation": "CreateGiftCard", "request_id": "Acme1*", "times": 2}
    number = (await panel.post("/faults", json=order)).json()["number"]
    assert emulator.faults.armed[number].times == 2
    emulator.faults.strike_request("CreateGiftCard", lambda: "Acme1a")
    shown = (await panel.get("/faults")).json()
    assert shown["armed"][str(number)]["kind"] == "drop_after"
    assert shown["fired"] == [{"kind": "drop_after", "operation": "CreateGiftCard", "request_id": "Acme1a"}]
    assert (await panel.delete(f"/faults/{number}")).json()["armed"] == {}
    emulator.faults.once(FaultKind.DELAY)
    await panel.delete("/faults")
    assert emulator.faults.armed == {}


async def test_time_is_frozen_shifted_and_real(panel, emulator):
    """The cancel window passes at once."""
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert (await panel.post("/clock", json={"mode": "shifted", "seconds": 900.5})).status_code == 200
    assert emulator.clock() == noon + timedelta(seconds=900.5)
    frozen = await panel.post("/clock", json={"mode": "frozen", "at": "2030-01-01T01:00:00+01:00"})
    assert frozen.json() == {"now": "2030-01-01T00:00:00Z"}
    await panel.post("/clock", json={"mode": "real"})
    assert not emulator.clock.is_frozen


async def test_partners_and_keys(panel, emulator):
    """A new account, a rotated key, an end to the old one, other funds."""
    order = {"partner_id": "Amzn1", "keys": {"K1": {"secret": "s1"}}, "funds": "5.00", "currency": "EUR"}
    assert (await panel.post("/partners", json=order)).json() == {"partner_id": "Amzn1", "funds": "5.00"}
    funds = {"partnerId": "Amzn1"}
    _, answer = foreign.ask(emulator, "GetAvailableFunds", funds, key=("K1", "s1"))
    assert answer["availableFunds"] == {"amount": 5.0, "currencyCode": "EUR"}
    keys = {"K1": {"secret": "s1", "status": "inactive"}, "K2": {"secret": "s2"}}
    await panel.post("/partners", json={"partner_id": "Amzn1", "keys": keys})
    assert foreign.ask(emulator, "GetAvailableFunds", funds, key=("K1", "s1"))[0] == 403
    assert foreign.ask(emulator, "GetAvailableFunds", funds, key=("K2", "s2"))[0] == 200
    await panel.post("/partners", json={"partner_id": "Amzn1", "funds": None})
    assert emulator.state.funds["Amzn1"] is None


async def test_keys_are_deactivated_and_deleted(panel, emulator):
    """The seven steps of a rotation, for a client in any language: it needs no secret to end a key."""
    funds, key = {"partnerId": "Acme1"}, emulator.partner.access_key_id
    secret = emulator.partner.secret_access_key

    async def status_after(status: str) -> int:
        order = {"access_key_id": key, "status": status}
        answer = await panel.post("/keys", json=order)
        assert (answer.status_code, answer.json()) == (200, order)
        return foreign.ask(emulator, "GetAvailableFunds", funds, key=(key, secret))[0]

    assert [await status_after(each) for each in ("inactive", "active", "inactive")] == [403, 200, 403]
    assert await status_after("deleted") == 403
    answer = await panel.post("/keys", json={"access_key_id": key, "status": "active"})
    assert (answer.status_code, "deleted" in answer.json()["error"]) == (400, True)
    unknown = {"access_key_id": "AKIDUNKNOWN", "status": "inactive"}
    assert (await panel.post("/keys", json=unknown)).status_code == 404


async def test_cards_are_claimed(panel, emulator):
    """A claimed card cannot be cancelled; an unknown one cannot be claimed."""
    foreign.ask(emulator, "CreateGiftCard", foreign.create_fields("Acme1a"))
    order = {"creation_request_id": "Acme1a"}
    assert (await panel.post("/claim", json=order)).status_code == 200
    assert foreign.refused(emulator, "CancelGiftCard", foreign.cancel_fields("Acme1a"))
    assert (await panel.post("/claim", json={"creation_request_id": "Acme1b"})).status_code == 404


async def test_a_snapshot_can_be_taken_and_put_back(panel, emulator):
    """Between two tests, for example; it holds neither secrets nor claim codes."""
    empty = (await panel.get("/snapshot")).content
    _, card = foreign.ask(emulator, "CreateGiftCard", foreign.create_fields("Acme1a"))
    full = (await panel.get("/snapshot")).content
    assert card["gcClaimCode"].encode() not in full
    assert emulator.partner.secret_access_key.encode() not in full
    assert (await panel.put("/snapshot", content=empty)).json()["cards"] == 0
    assert (await panel.put("/snapshot", content=full)).json()["cards"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", b"", 404),
        ("PUT", "/clock", b"{}", 404),
        ("POST", "/clock", b"not json", 400),
        ("POST", "/clock", b'{"mode": "sideways"}', 400),
        ("POST", "/clock", b'{"mode": "frozen", "at": "2026-03-02T12:00:00"}', 400),
        ("POST", "/faults", b'{"kind": "delay", "probability": 2}', 400),
        ("POST", "/faults", b'{"kind": "delay", "unknown": 2}', 400),
        ("DELETE", "/faults/seven", b"", 400),
        ("PUT", "/snapshot", b"[]", 400),
        ("POST", "/faults", b" " * 70_000, 413),
    ],
)
async def test_what_is_wrong_is_said(panel, method, path, body, status):
    """As JSON, with a reason, and without any effect."""
    response = await panel.request(method, path, content=body)
    assert (response.status_code, list(response.json())) == (status, ["error"])


async def test_a_client_that_goes_away_is_no_error(emulator):
    """In the middle of an order."""
    from agcod_async.emulator.control import ControlApp

    async def receive():
        return {"type": "http.disconnect"}

    scope = {"path": "/_control/clock", "headers": [(b"authorization", f"Bearer {TOKEN}".encode())]}
    await ControlApp(emulator, TOKEN)(scope, receive, None)


def test_secrets_are_not_in_the_repr_of_an_order():
    """Validation errors and tracebacks show orders."""
    from agcod_async.emulator.control import KeyOrder, PartnerOrder

    order = PartnerOrder(partner_id="Acme1", keys={"K": KeyOrder(secret="5ec2e7")})
    assert "5ec2e7" not in repr(order)
    shown = require("rich.pretty").pretty_repr(order)
    assert ("status='active'" in shown, "5ec2e7" in shown) == (True, False)
