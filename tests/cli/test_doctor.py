"""`agcod doctor`: everything between the configuration and the money, against real sockets, files and TLS."""

from __future__ import annotations

import json
import socketserver
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agcod_async import Endpoint, ThrottlingError
from agcod_async.cli import checkup
from agcod_async.cli.checkup import Checkup
from agcod_async.cli.context import CommandContext
from agcod_async.cli.doctor import _worst
from agcod_async.cli.exits import ExitCode, fix_for
from agcod_async.cli.output import Output
from agcod_async.cli.process import Process
from agcod_async.emulator import Emulator, Fault, FaultKind, Key
from agcod_async.errors import SignatureError
from agcod_async.signing import Diagnosis
from tests.test_diagnosis import LINES, refusal, with_line

from .world import Stream, serving

CHECKS = [
    *("partner id", "endpoint", "keys", "disk", "ledger"),
    *("dns", "tls", "clock", "key age", "signature", "funds"),
]


def states(result) -> dict[str, str]:
    return {each["check"]: each["state"] for each in result.records}


def finding(result, check: str) -> dict[str, str]:
    return next(each for each in result.records if each["check"] == check)


def test_all_is_well(cli):
    """Ten lines, each with what was found, and exit code 0."""
    cli("create", "order-4711", "25", "USD", "--yes")
    result = cli.with_environ(AGCOD_KEY_CREATED=datetime.now(UTC).isoformat())("doctor")
    assert result.code == 0
    assert states(result) == dict.fromkeys(CHECKS, "ok")
    assert finding(result, "partner id")["says"] == "Acme1 (environment AGCOD_PARTNER_ID)"
    assert finding(result, "ledger")["says"] == "rewards.db: 1 issued"
    assert finding(result, "tls")["says"].startswith("TLSv1.3, certificate until ")
    assert finding(result, "dns")["says"].startswith("localhost has ")
    assert finding(result, "clock")["says"].endswith("the gateway's")
    assert finding(result, "disk")["says"].endswith("for good")
    assert finding(result, "funds")["says"] == "9975.00 USD"
    secret = cli.environ["AGCOD_SECRET_ACCESS_KEY"]
    assert secret not in result.out + cli("doctor", terminal=True).out


def test_on_a_terminal(cli):
    """A table for people."""
    result = cli("doctor", terminal=True)
    assert result.code == 0
    assert "9975" not in result.out
    assert "10000.00 USD" in result.out
    assert not (cli.folder / "rewards.db").exists(), "looking makes no ledger"


def test_without_a_configuration(offline):
    """What is missing is named with the place where it could be given; the rest waits."""
    result = offline("doctor")
    assert result.code == 2
    assert states(result) == {
        "partner id": "failed", "endpoint": "failed", "keys": "failed", "disk": "ok", "ledger": "ok",
        "network": "skipped", "clock": "skipped", "signature": "skipped", "funds": "skipped",
    }  # fmt: skip
    assert "AGCOD_PARTNER_ID" in finding(result, "partner id")["fix"]
    assert "not made yet" in finding(result, "ledger")["says"]


@pytest.mark.parametrize(
    ("variable", "value", "check"),
    [
        ("AGCOD_ENDPOINT", "mars", "endpoint"),
        ("AGCOD_ENDPOINT", "na", "endpoint"),
        ("AGCOD_REGION", "", "endpoint"),
    ],
)
def test_a_configuration_that_cannot_work(cli, variable, value, check):
    """Also production without --production: nothing is asked there by mistake."""
    result = cli.with_environ(**{variable: value})("doctor")
    assert result.code == 2
    assert finding(result, check)["state"] == "failed"
    assert finding(result, check)["fix"]


def test_a_wrong_secret(cli):
    """The doctor's one line, and the fix that belongs to it."""
    result = cli.with_environ(AGCOD_SECRET_ACCESS_KEY="not-it")("doctor")
    assert result.code == 2
    row = finding(result, "signature")
    assert "only the key is left" in row["says"]
    assert "copy key id and secret key anew" in row["fix"]
    assert states(result)["funds"] == "skipped"


def test_a_wrong_region(cli):
    """The fix names the setting."""
    row = finding(cli.with_environ(AGCOD_REGION="eu-west-1")("doctor"), "signature")
    assert "signed eu-west-1, the gateway saw us-east-1" in row["says"]
    assert "AGCOD_REGION" in row["fix"]


def test_an_unknown_key(cli):
    """Nothing to try elsewhere: an emulator has no sandbox beside it."""
    row = finding(cli.with_environ(AGCOD_ACCESS_KEY_ID="AKIDUNKNOWN00001")("doctor"), "signature")
    assert row["state"] == "failed"
    assert "does not know the key AKID…0001" in row["says"]


@pytest.mark.parametrize(
    ("minutes", "state", "code"), [(0, "ok", 0), (5, "warning", 0), (-5, "warning", 0), (40, "failed", 2)]
)
def test_the_clock(tmp_path, minutes, state, code):
    """Compared with the gateway's own; the session would correct it silently, and the doctor tells."""
    from .world import Cli

    def shifted() -> datetime:
        return datetime.now(UTC) - timedelta(minutes=minutes)

    with serving(Emulator(throttle=None, clock=shifted)) as environment:
        result = Cli(tmp_path, environment)("doctor")
    row = finding(result, "clock")
    assert (row["state"], result.code) == (state, code)
    if minutes:
        assert ("ahead of" if minutes > 0 else "behind") in row["says"]
        assert "NTP" in row["fix"]


@pytest.mark.parametrize(
    ("days_left", "state", "says"),
    [
        (None, "skipped", "unknown"),
        (90, "ok", "90 days until"),
        (30, "warning", "30 days until"),
        (-3, "warning", "since 3 days"),
    ],
)
def test_the_age_of_the_key(days_left, state, says):
    """Keys are to be replaced after 180 days; a month is time enough to plan it."""
    found = checkup._age(days_left)
    assert found.state == state
    assert says in found.says
    assert (found.fix is not None) == (state == "warning")


def test_funds_that_are_refused(cli, emulator):
    """The signature is fine, and the account is not."""
    emulator.state.add_partner(replace(emulator.partner, problem="CustomerAccountBlocked"))
    result = cli("doctor")
    assert result.code == 4
    assert (states(result)["signature"], states(result)["funds"]) == ("ok", "failed")
    assert "CustomerAccountBlocked" in finding(result, "funds")["says"]


def test_a_gateway_without_a_verdict(cli, emulator):
    """Neither the signature nor the funds can be judged."""
    emulator.faults.arm(Fault(FaultKind.FAULT_BEFORE, status=502, times=None))
    result = cli.with_environ(AGCOD_TIMEOUT="2")("doctor")
    assert (states(result)["signature"], states(result)["funds"]) == ("skipped", "failed")
    assert result.code == 5


def test_nobody_listens(cli):
    """Firewalls look like this."""
    result = cli.with_environ(AGCOD_ENDPOINT="https://localhost:1")("doctor")
    assert result.code == 6
    assert (states(result)["dns"], states(result)["tls"], states(result)["funds"]) == (
        "ok",
        "failed",
        "skipped",
    )
    assert "firewall" in finding(result, "tls")["fix"]


def test_a_name_that_does_not_exist(cli):
    """A misspelt host, or no DNS."""
    result = cli.with_environ(AGCOD_ENDPOINT="https://agcod.invalid", AGCOD_CA_FILE=None)(
        "doctor", "--production"
    )
    assert result.code == 6
    assert states(result)["dns"] == "failed"
    assert finding(result, "dns")["says"].startswith("agcod.invalid: ")
    assert states(result)["signature"] == "skipped"


def test_a_certificate_of_somebody_else(cli):
    """A proxy that opens TLS, or no AGCOD_CA_FILE for an emulator."""
    result = cli.with_environ(AGCOD_CA_FILE=None)("doctor")
    assert result.code == 6
    assert "is not trusted" in finding(result, "tls")["says"]
    assert "AGCOD_CA_FILE" in finding(result, "tls")["fix"]


@contextmanager
def answering(payload: bytes, *, hold: bool) -> Iterator[str]:
    """Serve *payload* to whoever connects, from a thread: the command has the main thread to itself."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            with suppress(OSError):
                self.request.sendall(payload)
                if hold:
                    self.request.recv(1)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _bare(payload: bytes, cli, *, hold: bool = False):
    with answering(payload, hold=hold) as url:
        return cli.with_environ(AGCOD_ENDPOINT=url, AGCOD_CA_FILE=None, AGCOD_TIMEOUT="0.5")("doctor")


@pytest.mark.parametrize(
    ("payload", "hold", "says"),
    [
        (b"", False, "IncompleteReadError"),
        (b"HTTP/1.1 ", True, "TimeoutError"),
        (b"x" * 200_000, False, "LimitOverrun"),
    ],
)
def test_a_server_that_is_no_gateway(cli, payload, hold, says):
    """Whatever else listens there, the doctor comes to an end."""
    result = _bare(payload, cli, hold=hold)
    assert says in finding(result, "tls")["says"]
    assert result.code == 6


def test_a_gateway_that_does_not_tell_its_time(cli):
    """Proxies drop the Date header."""
    result = _bare(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", cli)
    assert finding(result, "clock")["state"] == "skipped"
    assert finding(result, "tls")["says"] == "plain HTTP on this machine"
    assert finding(result, "funds")["state"] == "failed"


def test_a_folder_that_cannot_be_written(cli):
    """The ledger could not keep the intent."""
    result = cli("doctor", "--ledger", "nowhere/rewards.db")
    assert (finding(result, "disk")["state"], result.code) == ("failed", 8)
    assert "nowhere" in finding(result, "disk")["says"]


def test_a_ledger_that_is_none(cli):
    """The message of the ledger itself."""
    (cli.folder / "rewards.db").write_text(
        "this is no database, and it is long enough to be taken for one\n" * 20
    )
    result = cli("doctor")
    assert (finding(result, "ledger")["state"], result.code) == ("failed", 8)
    assert states(result)["funds"] == "ok"


def test_a_ledger_that_cannot_be_named(cli):
    """A URL of another kind of store."""
    result = cli.with_environ(AGCOD_LEDGER="mysql://localhost/x")("doctor")
    assert finding(result, "ledger")["state"] == "failed"
    assert "postgresql://" in finding(result, "ledger")["says"]


def test_rewards_that_are_open_are_told(cli, emulator):
    """An open reward is money of unknown fate."""
    emulator.faults.arm(Fault(FaultKind.RESEND_AFTER, times=None))
    cli("create", "order-4711", "25", "USD", "--yes", "--wait", "0.01")
    row = finding(cli("doctor"), "ledger")
    assert (row["state"], row["says"]) == ("warning", "rewards.db: 1 sent")
    assert "agcod recover" in row["fix"]


def test_abandoned_rewards_are_told(cli):
    """They wait for a person for ever."""
    cli("create", "order-4711", "25", "USD", "--yes")

    with closing(sqlite3.connect(cli.folder / "rewards.db", isolation_level=None)) as connection:
        connection.execute("UPDATE entries SET state = 'abandoned'")
    row = finding(cli("doctor"), "ledger")
    assert row["state"] == "warning"
    assert "support" in row["fix"]


def test_a_slow_disk_is_told():
    """Two writes per reward bound the speed of a campaign."""
    assert checkup._judged("200 ms", is_slow=True).state == "warning"
    assert "local" in (checkup._judged("200 ms", is_slow=True).fix or "")


def test_the_first_failure_decides_the_exit_code():
    """What comes after it may be its fault."""
    failed = checkup.Finding(check="a", state="failed", says="", code=ExitCode.LEDGER)
    assert _worst([failed, replace(failed, code=ExitCode.USAGE)]) == ExitCode.LEDGER
    assert _worst([replace(failed, state="warning")]) == ExitCode.OK


# A key of the sandbox, in production


def context(cli) -> CommandContext:
    process = Process(
        stdin=Stream(is_terminal=False), stdout=Stream(is_terminal=False), stderr=Stream(is_terminal=False),
        environ=cli.environ, folder=cli.folder,
    )  # fmt: skip
    return CommandContext(process, Output(process.stdout, process.stderr, as_json=True), {})


@pytest.mark.parametrize("knows_it", [True, False])
async def test_a_sandbox_key_in_production_is_proved(cli, emulator, knows_it):
    """The key is tried where it may be at home: then it is no guess any more."""
    async with Emulator(throttle=None).serve() as sandbox:
        here = Endpoint.custom(sandbox.url, region="us-east-1", ca_file=sandbox.ca_file)
        at_home = replace(here, name="na-sandbox")
        keys = emulator.partner.keys if knows_it else {"AKIDSTRANGER0001": "x"}
        emulator.state.add_partner(
            replace(emulator.partner, keys={name: Key("x", "inactive") for name in keys})
        )
        if not knows_it:
            cli = cli.with_environ(AGCOD_ACCESS_KEY_ID="AKIDSTRANGER0001")
        async with context(cli) as opened:
            found = [each async for each in Checkup(opened, sandbox_of=lambda _: at_home).findings()]
    row = next(each for each in found if each.check == "signature")
    assert row.state == "failed"
    assert ("this is a key of na-sandbox, which takes it" in row.says) is knows_it


def test_each_production_endpoint_has_its_sandbox():
    """And nothing else has one."""
    assert checkup._sandbox_of(Endpoint.EU) == Endpoint.EU_SANDBOX
    assert checkup._sandbox_of(Endpoint.EU_SANDBOX) is None


# A pasted refusal


def test_a_pasted_refusal(offline):
    """From a file or the input, with no configuration at all."""
    text = refusal(with_line(0, "GET"))
    (offline.folder / "refusal.txt").write_text(text)
    result = offline("doctor", "--refusal", "refusal.txt")
    assert result.code == 0
    assert result.record == {
        "cause": "method",
        "says": "the method differs: expected POST, found GET; every operation is a POST",
        "header": "",
        "signed": "POST",
        "received": "GET",
    } | {"header": result.record["header"]}
    assert "cause     method" in offline("doctor", "--refusal", "-", typed=text).out


def test_a_support_report_is_a_refusal_too(offline):
    """It holds both sides, so that the lines can be compared."""
    exchange = {
        "canonical_request": "\n".join(LINES),
        "string_to_sign": "AWS4-HMAC-SHA256\n20260301T120000Z\n20260301/us-east-1/AGCODService/aws4_request\n"
        + 64 * "0",
        "response_body": json.dumps({"message": refusal(with_line(3, "accept:*/*"))}),
    }
    (offline.folder / "report.json").write_text(json.dumps({"exchange": exchange}))
    record = offline("doctor", "--refusal", "report.json").record
    assert (record["cause"], record["header"], record["signed"], record["received"]) == (
        "header",
        "accept",
        "application/json",
        "*/*",
    )


def test_a_refusal_that_is_not_there(offline):
    """The file is named."""
    result = offline("doctor", "--refusal", "missing.txt")
    assert (result.code, "missing.txt: No such file" in result.error["message"]) == (2, True)


# The fix that is shown with any command's error


def test_a_fix_follows_the_diagnosis():
    """To compare the secret is no help against a proxy."""
    error = SignatureError("mismatch")
    assert "compare the secret key" in fix_for(error)
    error.diagnosis = Diagnosis(cause="body", text="")
    assert "go round it" in fix_for(error)
    error.diagnosis = Diagnosis(cause="unclear", text="")
    assert "compare the secret key" in fix_for(error)
    assert "repeat the command" in fix_for(ThrottlingError("slow"))
