"""The Scratchpad and the Portal, as a browser sees them."""

import asyncio
import csv
import io
import json
import shlex
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest

pytest.importorskip("uvicorn", reason="pip install agcod-async[emulator]")
pytest.importorskip("trustme", reason="pip install agcod-async[emulator]")
pytest.importorskip("jinja2", reason="pip install agcod-async[emulator]")

from agcod_async import Account, AgcodSession, Credentials, Endpoint, Money
from agcod_async.emulator import Emulator, Fault, FaultKind, Key, Partner
from agcod_async.emulator.pages import scratchpad
from agcod_async.emulator.pages.scratchpad import Reply
from agcod_async.emulator.pages.values import Page as WholePage
from agcod_async.funds import read_funds
from agcod_async.model import OPERATIONS
from agcod_async.testing import NoThrottle

from . import foreign
from .browser import Browser, Page

KEYS = {"AKIDEXAMPLE": "example-secret-key", "AKIDOLD": Key("an-older-secret", "inactive")}


@pytest.fixture
def emulator(clock):
    """Three accounts, one of them with a name that is not meant for HTML."""
    partners = [
        Partner("Acme1", keys=KEYS),
        Partner("Beta1", keys={"AKIDBETA": "the-secret-of-another"}),
        Partner('B<b>"&', keys={}, funds=None),
    ]
    return Emulator(partners, clock=clock, throttle=None)


@pytest.fixture
async def running(emulator):
    async with emulator.serve(pages_port=0) as running:
        yield running


@pytest.fixture
async def client(running):
    async with httpx.AsyncClient(base_url=running.pages_url, trust_env=False) as client:
        yield client


@pytest.fixture
def browser(client):
    return Browser(client)


def create(emulator, request_id, amount="25.00"):
    fields = foreign.create_fields(request_id) | {"value": {"currencyCode": "USD", "amount": float(amount)}}
    return foreign.ask(emulator, "CreateGiftCard", fields)


def create_for_beta(emulator, request_id, amount):
    value = {"currencyCode": "USD", "amount": float(amount)}
    fields = {"creationRequestId": request_id, "partnerId": "Beta1", "value": value}
    key = ("AKIDBETA", "the-secret-of-another")
    assert foreign.ask(emulator, "CreateGiftCard", fields, key=key)[0] == 200


def browser_time(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def trusted(ca_file):
    return ssl.create_default_context(cafile=ca_file)


def read_csv(response):
    return [*csv.DictReader(io.StringIO(response.text))]


async def begun_form(running):
    """A connection on which a form has begun to arrive."""
    port = int(running.pages_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "POST /scratchpad HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n"
    writer.write(f"{head}content-type: application/x-www-form-urlencoded\r\n\r\nab".encode())
    await writer.drain()
    return reader, writer


def session_of(emulator):
    partner = emulator.partner
    return AgcodSession(
        partner.partner_id,
        Credentials(partner.access_key_id, partner.secret_access_key),
        Endpoint.custom("https://localhost", region=emulator.state.region),
        http_client=emulator.http_client(),
        clock=emulator.clock,
        throttle=NoThrottle(),
    )


# The Portal


async def test_the_figures_of_an_account(browser, emulator, clock):
    """Balance, average daily spend, days remaining; what was cancelled, or is older, was not spent lately."""
    page = await browser.go("/")
    assert page.facts == {
        "Balance": "10000.00 USD",
        "Average daily spend over 14 days": "0.00 USD",
        "Days remaining": "nothing to tell from",
    }
    create(emulator, "Acme1old", "500.00")
    clock.shift(timedelta(days=15))
    create(emulator, "Acme1a", "70.00")
    create(emulator, "Acme1b", "50.00")
    foreign.ask(emulator, "CancelGiftCard", {"creationRequestId": "Acme1b", "partnerId": "Acme1"})
    page = await browser.go("/portal")
    assert page.facts == {
        "Balance": "9430.00 USD",
        "Average daily spend over 14 days": "5.00 USD",
        "Days remaining": "1886.0",
    }


async def test_the_figures_are_those_that_a_client_finds_out(browser, emulator, clock):
    """The page knows the books; a client adds up the activity. For cards that comes to the same."""
    for number in range(5):
        create(emulator, f"Acme1n{number}", f"{number + 1}1.37")
        clock.shift(timedelta(hours=7))
    reading = await read_funds(session_of(emulator))
    assert (await browser.go("/portal")).facts == {
        "Balance": str(reading.available),
        "Average daily spend over 14 days": str(reading.average_daily_spend),
        "Days remaining": str(reading.days_remaining),
    }


async def test_whatever_is_paid_for_is_spent(browser, emulator, clock):
    """Physical cards and balance loads, too, though the activity does not list the loads."""
    session, value = session_of(emulator), Money("70.00", "USD")
    for number in range(2):
        await session.activate_gift_card(f"Acme1a{number}", f"600000000000000000{number}", value)
        account = Account(id=f"amz1.account.{number}", type="2")
        await session.load_amazon_balance(f"Acme1l{number}", value, account)
        clock.shift(timedelta(days=10))
    page = await browser.go("/portal")
    assert page.facts["Balance"] == "9720.00 USD"
    assert page.facts["Average daily spend over 14 days"] == "10.00 USD"
    assert [row[1] for row in page.rows if len(row) == 10] == ["GCActivation"]


async def test_an_account_without_an_end(browser):
    """As in the sandbox: nothing can run low. Its name is text and nothing else."""
    page = await browser.go("/portal", partner='B<b>"&')
    assert page.texts["h1"] == ['Portal of B<b>"&']
    assert page.facts["Balance"] == "never at an end, and shown as 0.00 USD"
    assert page.facts["Days remaining"] == "nothing to tell from"
    page = await browser.press("Save", balance="100", days="3")
    assert page.texts["h1"] == ['Portal of B<b>"&']
    assert "alert" not in page.texts


async def test_accounts_are_linked(browser):
    """Each of them by a link that leads there, whatever it is called."""
    page = await browser.go("/portal")
    for name in ("Acme1", "Beta1", 'B<b>"&'):
        page = await browser.go(page.links[name])
        assert page.texts["h1"] == [f"Portal of {name}"]
        page = await browser.go(page.links["Scratchpad"])
        assert page.forms[-1].fields["partner"] == name
        page = await browser.go(page.links["Portal"])
        assert page.texts["h1"] == [f"Portal of {name}"]
    assert (await browser.go("/nothing")).links == {"Portal": "/portal", "Scratchpad": "/scratchpad"}


async def test_accounts_are_kept_apart(browser, client, emulator):
    """Funds, spend, activity, alerts and keys of one say nothing of the other's, and change nothing there."""
    create(emulator, "Acme1a", "140.00")
    create_for_beta(emulator, "Beta1b", "280.00")
    await browser.go("/portal", partner="Acme1")
    await browser.press("Save", balance="99999")
    await browser.go("/portal", partner="Beta1")
    await browser.press("Save", days="1")
    seen = {}
    for name in ("Acme1", "Beta1"):
        page = await browser.go("/portal", partner=name)
        seen[name] = (
            page.facts["Average daily spend over 14 days"],
            [row[4] for row in page.rows if len(row) == 10],
            page.texts.get("alert"),
            [form.fields["access_key_id"] for form in page.forms if "access_key_id" in form.fields],
            [row["request id"] for row in read_csv(await browser.press("Download"))],
        )
    too_low = ["The balance is below 99999 USD."]
    keys = ["AKIDEXAMPLE", "AKIDOLD"]
    assert seen["Acme1"] == ("10.00 USD", ["Acme1a"], too_low, keys, ["Acme1a"])
    assert seen["Beta1"] == ("20.00 USD", ["Beta1b"], None, ["AKIDBETA"], ["Beta1b"])
    for key in keys:
        form = {"partner": "Beta1", "action": "delete", "access_key_id": key}
        assert (await client.post("/portal/keys", data=form)).status_code == 400
    assert emulator.state.partners["Acme1"].key_statuses == {"AKIDEXAMPLE": "active", "AKIDOLD": "inactive"}


async def test_what_will_be_spent_is_not_spent(browser, emulator, clock):
    """A clock that was set back has records ahead of it."""
    create(emulator, "Acme1a")
    clock.shift(timedelta(days=-30))
    page = await browser.go("/portal")
    assert page.facts["Average daily spend over 14 days"] == "0.00 USD"
    assert "Records: 0." in page.words


async def test_alerts_are_raised(browser, emulator):
    """Below an amount, or below some days at the average spend; and taken back."""
    create(emulator, "Acme1a", "1400.00")
    await browser.go("/portal")
    page = await browser.press("Save", balance="8600", days="86")
    assert "alert" not in page.texts
    page = await browser.press("Save", balance="8600.01", days="86.5")
    assert page.texts["alert"] == [
        "The balance is below 8600.01 USD.",
        "The balance will last for 86.0 days, which is less than 86.5.",
    ]
    assert page.forms[0].fields == {"partner": "Acme1", "balance": "8600.01", "days": "86.5"}
    assert "alert" not in (await browser.press("Save", balance="", days="")).texts


async def test_no_alert_about_days_where_nothing_is_spent(browser):
    """There is no end to them."""
    await browser.go("/portal")
    assert "alert" not in (await browser.press("Save", days="1000")).texts


@pytest.mark.parametrize(
    "text", ["a lot", "-1", "-0", "NaN", "Infinity", "1e3", "1_000", "1,5", "٣", "9" * 40]
)
async def test_a_threshold_is_a_number(browser, text):
    """What is wrong is named, and nothing changes."""
    await browser.go("/portal")
    await browser.press("Save", balance="7", days="8")
    page = await browser.press("Save", balance=text)
    assert page.response.status_code == 400
    assert page.texts["alert"] == ["balance: a number such as 250 is needed"]
    assert (await browser.go("/portal")).forms[0].fields == {"partner": "Acme1", "balance": "7", "days": "8"}


async def test_the_life_of_a_key(browser, emulator):
    """Made, shown once, used; switched off and on; deleted for ever, as the real Portal has it."""
    funds = {"partnerId": "Acme1"}
    await browser.go("/portal")
    page = await browser.press("Create a key")
    access_key_id, secret = page.texts["code"][:2]
    assert page.texts["status"] == [f"The secret of {access_key_id} is {secret}. It is shown once, here."]
    assert len(access_key_id) == 20
    assert len(secret) == 40
    assert secret not in (await browser.go("/portal")).response.text

    def status():
        return foreign.ask(emulator, "GetAvailableFunds", funds, key=(access_key_id, secret))[0]

    async def press(action):
        form = next(form for form in browser.page.forms if form.fields.get("access_key_id") == access_key_id)
        browser.page.forms = [form]
        return await browser.press(action)

    assert status() == 200
    await press("Deactivate")
    assert status() == 403
    await press("Activate")
    assert status() == 200
    page = await press("Delete for ever")
    assert status() == 403
    assert [row[:2] for row in page.rows if access_key_id in row] == [[access_key_id, "deleted"]]
    assert not any(form.fields.get("access_key_id") == access_key_id for form in page.forms)


async def test_each_key_is_another(emulator):
    """Also after the books were put back: no deleted key comes to life, and nobody gets somebody else's."""
    books = emulator.state.snapshot()
    first = emulator.create_key("Acme1")
    emulator.set_key_status(first[0], "deleted")
    made = {first}
    for partner in ("Acme1", "Beta1"):
        emulator.state.restore(books)
        made.add(emulator.create_key(partner))
    assert len({part for pair in made for part in pair}) == 6
    assert emulator.state.partners["Acme1"].key_statuses[first[0]] == "deleted"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"action": "delete", "access_key_id": "AKIDNOBODYS"}, "access_key_id: this account has no such key"),
        ({"action": "deactivate"}, "access_key_id: the form has no such field"),
        ({"action": ""}, "action: one of create, activate, deactivate, delete is needed"),
        ({"action": "steal"}, "action: one of create, activate, deactivate, delete is needed"),
        ({"action": "delete", "partner": "Nobody"}, 'partner: one of Acme1, Beta1, B<b>"& is needed'),
    ],
)
async def test_keys_that_cannot_be_changed(client, fields, problem):
    """The page says what is wrong with the form."""
    page = Page(await client.post("/portal/keys", data={"partner": "Acme1"} | fields))
    assert (page.response.status_code, page.texts["alert"]) == (400, [problem])


async def test_a_deleted_key_stays_deleted(client):
    """Also for a page that was loaded before."""
    form = {"partner": "Acme1", "access_key_id": "AKIDOLD"}
    assert (await client.post("/portal/keys", data={**form, "action": "delete"})).status_code == 303
    page = Page(await client.post("/portal/keys", data={**form, "action": "activate"}))
    assert "that is for ever" in page.texts["alert"][0]


async def test_the_activity(browser, emulator, clock):
    """The newest first; failures and repeats too; the time that was asked for, its last minute included."""
    for number in range(3):
        create(emulator, f"Acme1n{number}")
        clock.shift(timedelta(minutes=1))
    create(emulator, "Acme1n0")
    create(emulator, "Acme1big", "3000.00")
    page = await browser.go("/portal")
    shown = [row for row in page.rows if len(row) == 10]
    assert [(row[4], row[2], row[9]) for row in shown] == [
        ("Acme1big", "Failed", "no"),
        ("Acme1n0", "Success", "no"),
        ("Acme1n2", "Success", "yes"),
        ("Acme1n1", "Success", "yes"),
        ("Acme1n0", "Success", "yes"),
    ]
    assert shown[0][3] == "MaxAmountExceeded"
    assert shown[-1][:2] + shown[-1][6:9] == ["2026-03-02T12:00:00Z", "GCCreation", "", "25.0", "USD"]
    page = await browser.press("Show", start="2026-03-02T12:01", end="2026-03-02T12:02")
    assert [row[4] for row in page.rows if len(row) == 10] == ["Acme1n2", "Acme1n1"]
    assert page.forms[-1].fields["start"] == "2026-03-02T12:01"
    assert page.forms[-1].fields["end"] == "2026-03-02T12:02"


async def test_the_download_has_everything(browser, emulator):
    """The page shows a hundred; the file all of the time that was asked for, ascending."""
    for number in range(105):
        create(emulator, f"Acme1n{number:03}")
    page = await browser.go("/portal")
    assert len([row for row in page.rows if len(row) == 10]) == 100
    assert "Records: 105; the newest 100 are shown, and the download has them all." in page.words
    response = await browser.press("Download")
    assert response.headers["content-disposition"] == 'attachment; filename="activity.csv"'
    assert [row["request id"] for row in read_csv(response)] == [
        f"Acme1n{number:03}" for number in range(105)
    ]


async def test_no_spreadsheet_computes_the_download(browser, emulator):
    """Whoever asked chose the request id, also of what was refused."""
    create(emulator, "=cmd|'/c calc'!A1")
    await browser.go("/portal")
    assert "'=cmd|'/c calc'!A1" in (await browser.press("Download")).text


@pytest.mark.parametrize("name", ["start", "end"])
@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01T00:00", "9999-12-31T23:59", "0001-01-01T00:00+14:00"]
)
async def test_a_time_is_a_time(client, name, text):
    """What is wrong is named."""
    page = Page(await client.get("/portal", params={name: text}))
    assert page.response.status_code == 400
    assert page.texts["alert"] == [f"{name}: a time such as 2026-03-02T12:00:00 (UTC) is needed"]


async def test_a_time_that_ends_before_it_begins(client):
    """An empty table would look like an account that did nothing."""
    times = {"start": "2026-03-02T12:00", "end": "2026-03-02T13:00+02:00"}
    for path in ("/portal", "/portal/activity.csv"):
        page = Page(await client.get(path, params=times))
        assert (page.response.status_code, page.texts["alert"]) == (400, ["start: it is after the end"])


async def test_the_page_does_not_stand_still(browser, emulator, clock):
    """Without a time of the user's own, it asks for what there is by now."""
    create(emulator, "Acme1a")
    await browser.go("/portal")
    clock.shift(timedelta(minutes=5))
    create(emulator, "Acme1b")
    assert "Acme1b" in (await browser.press("Download")).text
    assert "Acme1b" in (await browser.press("Show")).words


async def test_what_is_shown_is_one_line_that_ends(browser, emulator):
    """A request id is anybody's text: it may be long, or turn what follows around."""
    create(emulator, "Acme1\u202e" + "x" * 500)
    page = await browser.go("/portal")
    [row] = [row for row in page.rows if len(row) == 10]
    assert row[4].startswith("Acme1\\u202exxx")
    assert len(row[4]) == 101


# The Scratchpad


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("wire_format", ["json", "xml"])
@pytest.mark.parametrize("headers", ["as a session signs", "as the service's Scratchpad signs"])
async def test_what_is_composed_is_accepted(browser, operation, wire_format, headers):
    """Each operation in both formats, signed in both ways: the gateway checks it with code of its own."""
    await browser.go("/scratchpad")
    page = await browser.press("Compose", operation=operation, format=wire_format)
    assert (page.forms[0].fields["operation"], page.forms[0].fields["format"]) == (operation, wire_format)
    page = await browser.press("Sign and send", signed_headers=headers)
    status = page.texts["h3"][-1]
    # What cannot be undone or asked about is unknown to the gateway, which has understood the question.
    is_about_something = operation in ("CancelGiftCard", "DeactivateGiftCard", "VoidAmazonBalanceLoad")
    assert status == ("HTTP 400" if is_about_something else "HTTP 200"), page.texts["pre"][-1]
    assert "agcodResponse" in page.texts["pre"][-1] or "SUCCESS" in page.texts["pre"][-1]


async def test_whatever_the_account_needs(browser, emulator):
    """A reseller's program id; an id within the limit; a key that still signs; a currency without cents."""
    programs = frozenset({"spring", "autumn"})
    for name, approved in (("Gamma", programs), ("P" * 15, None)):
        keys = {
            "AKIDGONE": Key("gone", "deleted"),
            "AKIDIDLE": Key("idle", "inactive"),
            f"AKID{name}": "secret",
        }
        partner = Partner(name, keys=keys, needs_program_id=True, programs=approved, currency="JPY")
        emulator.state.add_partner(partner)
    emulator.state.settings = replace(emulator.state.settings, request_id_limit=20)
    emulator.state.region = "us-west-2"
    for name in ("Gamma", "P" * 15):
        page = await browser.go("/scratchpad", partner=name)
        assert page.forms[0].choices["access_key_id"] == ["AKIDIDLE", f"AKID{name}"]
        page = await browser.press("Sign and send")
        assert page.texts["h3"][-1] == "HTTP 200", page.texts["pre"][-1]


async def test_another_operation_signs_for_another(browser):
    """What is chosen is what is signed, composed or not."""
    await browser.go("/scratchpad")
    page = await browser.press("Sign", operation="CancelGiftCard")
    assert page.texts["pre"][1].startswith("POST\n/CancelGiftCard\n")


async def test_every_step_of_a_signature(browser, running):
    """What is shown is what a user compares with his own: it is made of the payload as it was written."""
    await browser.go("/scratchpad")
    payload = '{"partnerId": "Acme1",\n "x": "</textarea><b>&amp;"}'
    page = await browser.press("Sign", payload=payload, at="2026-03-02T11:59:58")
    steps = dict(zip(page.texts["h3"], page.texts["pre"], strict=True))
    assert list(steps) == [
        "Hash of the payload", "Canonical request", "Credential scope", "String to sign", "Signature",
        "Authorization", "Headers", "The same call from a shell",
    ]  # fmt: skip
    assert steps["Canonical request"].endswith(steps["Hash of the payload"])
    assert steps["Credential scope"] == "20260302/us-east-1/AGCODService/aws4_request"
    assert steps["Authorization"].endswith(f"Signature={steps['Signature']}")
    # Somebody else's code comes to the same.
    theirs = foreign.signed_headers(
        Emulator([Partner("Acme1", keys=KEYS)]),
        running.url,
        "CreateGiftCard",
        payload.encode(),
        at=browser_time("2026-03-02T11:59:58"),
    )
    assert theirs["authorization"].endswith(steps["Signature"])
    # And the form has kept what was written.
    assert page.forms[-1].fields["payload"] == payload
    assert page.forms[-1].fields["at"] == "2026-03-02T11:59:58"


async def test_the_line_for_a_shell_works(browser, running, client):
    """It is executed as curl would, against the gateway's own port."""
    page = await browser.go("/scratchpad")
    # On one line; of several, the shell has to make bytes first.
    payload = json.dumps(json.loads(page.forms[-1].fields["payload"]))
    page = await browser.press("Sign", payload=payload)
    words = shlex.split(page.texts["pre"][-1])
    headers = dict(word.split(": ", 1) for flag, word in pairwise(words) if flag == "-H")
    url, body = words[words.index("POST") + 1], words[words.index("--data-binary") + 1]
    async with httpx.AsyncClient(verify=trusted(running.ca_file), trust_env=False) as gateway:
        answer = await gateway.post(url, headers=headers, content=body)
    assert answer.json()["status"] == "SUCCESS"
    assert "--cacert" in page.words


async def test_a_claim_code_is_shown_only_when_asked_for(browser, emulator):
    """The rest of the answer always is."""
    await browser.go("/scratchpad")
    page = await browser.press("Sign and send")
    [card] = emulator.state.cards.values()
    code = emulator.state.claim_code(card.gc_id)
    assert card.gc_id in page.response.text
    assert code not in page.response.text
    page = await browser.press("Sign and send", reveal="yes")
    assert code in page.texts["pre"][-1]
    assert code not in repr(Reply(200, {}, code))
    assert code not in repr(WholePage(values={"reply": code}, text=code))


async def test_an_inactive_key_is_refused(browser):
    """As the real gateway does, and its text is shown."""
    await browser.go("/scratchpad")
    page = await browser.press("Sign and send", access_key_id="AKIDOLD")
    assert "HTTP 403" in page.texts["h3"]
    assert "UnrecognizedClientException" in page.texts["pre"][-1]


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (Fault(FaultKind.DROP_AFTER), "Whether the call was executed is unknown: send the same one again."),
        (Fault(FaultKind.TRUNCATED), "The connection was cut in the middle of the body."),
        (Fault(FaultKind.GARBAGE), "bytes that cannot be read"),
        (Fault(FaultKind.SLOW_DRIP, seconds=3), "would have got the body byte by byte, 3 s apart."),
        (Fault(FaultKind.DEEP_NESTING), "bytes that cannot be read"),
        (Fault(FaultKind.GZIP_BOMB), "content-encoding: gzip"),
        (Fault(FaultKind.RESEND_AFTER), "RESEND"),
        (Fault(FaultKind.THROTTLE_STORM), "Rate exceeded"),
    ],
)
async def test_armed_faults_strike(browser, emulator, fault, seen):
    """The page is one more client."""
    await browser.go("/scratchpad")
    emulator.faults.arm(fault)
    assert seen in (await browser.press("Sign and send")).words


async def test_a_delay_is_waited_for(browser, emulator, monkeypatch):
    """By the loop's own sleep, for as long as the fault says."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    await browser.go("/scratchpad")
    emulator.faults.arm(Fault(FaultKind.DELAY, seconds=7.5))
    monkeypatch.setattr(scratchpad.asyncio, "sleep", sleep)
    assert "SUCCESS" in (await browser.press("Sign and send")).words
    assert 7.5 in slept


async def test_a_payload_that_the_gateway_would_not_read(browser, emulator):
    """It is not sent by another way."""
    emulator.state.settings = replace(emulator.state.settings, max_body=100)
    await browser.go("/scratchpad")
    page = await browser.press("Sign and send", payload="x" * 101)
    assert page.texts["alert"] == ["payload: the gateway reads 100 bytes at most"]
    assert emulator.state.activity == []


async def test_an_account_without_a_key(browser):
    """Where one can be had is said."""
    await browser.go("/scratchpad", partner='B<b>"&')
    page = await browser.press("Sign")
    assert page.texts["alert"] == ["access_key_id: this account has no key; the Portal makes one"]


async def test_a_secret_that_nobody_can_sign_with(browser, emulator):
    """What a client would refuse is refused here, in its words and without the secret."""
    emulator.state.add_partner(Partner("Acme1", keys={"AKIDEXAMPLE": "a secret with spaces"}))
    await browser.go("/scratchpad")
    page = await browser.press("Sign")
    assert page.response.status_code == 400
    assert "a secret with" not in page.response.text


# Who is served


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:80", "", "[", "10.0.0.1"])
async def test_other_names_are_not_answered(client, host):
    """A name of somebody else's that leads to this machine would read the pages in a visitor's browser."""
    response = await client.get("/portal", headers={"host": host})
    assert response.status_code == 403
    assert "Acme1" not in response.text


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
async def test_the_names_of_this_machine_are(client, name):
    """However the user calls it."""
    assert (await client.get("/portal", headers={"host": f"{name}:1234"})).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost", "http://localhost:1"])
async def test_forms_of_others_are_refused(client, emulator, origin):
    """A page somewhere else cannot spend, or end a key, in passing."""
    form = {"partner": "Acme1", "action": "delete", "access_key_id": "AKIDEXAMPLE"}
    for path in ("/portal/keys", "/scratchpad"):
        response = await client.post(path, data=form, headers={"origin": origin})
        assert response.status_code == 403
    assert emulator.partner.access_key_id == "AKIDEXAMPLE"


async def test_pages_run_nothing_and_are_kept_nowhere(client):
    """No script, frame, or form to elsewhere; not in the browser's store; forms say where they are from."""
    for path in ("/", "/portal", "/scratchpad", "/portal/activity.csv", "/style.css", "/nothing"):
        headers = (await client.get(path)).headers
        assert set(headers["content-security-policy"].split("; ")) == {
            "default-src 'none'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        }
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
        # With "no-referrer" a browser would send "Origin: null" with our own forms.
        assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nothing"), ("PUT", "/portal"), ("DELETE", "/portal/keys")]
)
async def test_what_is_not_there(client, method, path):
    """The answer is a page."""
    assert (await client.request(method, path)).status_code == 404


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"a=1&" * 60, 400),
        (b"payload=%ff", 400),
        (b"\xff", 400),
        (b"partner=Acme1&partner=Beta1&action=create", 400),
        (b"", 400),
        (b"a" * 300_000, 413),
    ],
)
async def test_forms_that_are_none(client, emulator, content, status):
    """Too many fields, bytes that are no text, a field twice, nothing at all, more than anybody writes."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for path in ("/scratchpad", "/portal/keys", "/portal/alerts"):
        assert (await client.post(path, content=content, headers=headers)).status_code == status
    assert emulator.state.partners["Acme1"].key_statuses == {"AKIDEXAMPLE": "active", "AKIDOLD": "inactive"}


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""]
)
async def test_what_is_no_form_does_nothing(client, emulator, content_type):
    """What cannot be read as a wish must not be taken for one."""
    headers = {"content-type": content_type}
    response = await client.post("/portal/keys", content=b'{"action": "create"}', headers=headers)
    assert response.status_code == 415
    assert len(emulator.state.partners["Acme1"].keys) == 2


async def test_a_form_that_never_ends(emulator):
    """It has as long as a request of the gateway has."""
    emulator.body_timeout = 0.05
    async with emulator.serve(pages_port=0) as running:
        reader, writer = await begun_form(running)
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        writer.close()
        await writer.wait_closed()


async def test_a_browser_that_leaves_early(running):
    """Nothing is left behind, and the next one is served."""
    _, writer = await begun_form(running)
    writer.close()
    await writer.wait_closed()
    async with httpx.AsyncClient(base_url=running.pages_url, trust_env=False) as client:
        assert (await client.get("/portal")).status_code == 200


async def test_the_gateway_has_no_pages(running):
    """They are on a port of their own: what a client under test meets is the gateway alone."""
    async with httpx.AsyncClient(verify=trusted(running.ca_file), trust_env=False) as client:
        assert (await client.get(f"{running.url}/portal")).status_code in (403, 404)


async def test_pages_stay_on_this_machine(emulator):
    """Also where the gateway is for others."""
    async with emulator.serve(host="0.0.0.0", allow_remote=True, tls=False, pages_port=0) as running:
        port = int(running.pages_url.rpartition(":")[2])
        with pytest.raises(ConnectionRefusedError):
            # Another address of the loopback network: one that was bound by its name only does not answer.
            await asyncio.open_connection("127.0.0.2", port)


async def test_a_frozen_clock_is_the_pages_clock(browser, emulator, clock):
    """What is signed is signed at the emulator's time."""
    clock.freeze(clock().replace(year=2031))
    await browser.go("/scratchpad")
    page = await browser.press("Sign and send")
    assert "x-amz-date: 20310302T120000Z" in page.words
    assert "HTTP 200" in page.texts["h3"]
    assert json.loads(page.texts["pre"][-1].split("\n\n")[1])["status"] == "SUCCESS"
