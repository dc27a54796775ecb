"""Flags, environment, agcod.toml and profiles: which counts, where it came from, and what is refused."""

from __future__ import annotations

import pytest

from agcod_async import Endpoint
from agcod_async.cli.settings import FIELDS, spends_real_money

TOML = """
endpoint = "na-sandbox"
partner_id = "Acme1"
profile = "europe"
timeout = 4.5

[profiles.europe]
endpoint = "eu-sandbox"

[profiles.live]
endpoint = "eu"
partner_id = "Acme2"
"""


def values(cli, *flags):
    return {each["setting"]: (each["value"], each["source"]) for each in cli("config", *flags).records}


def test_every_setting_says_where_it_came_from(offline):
    """Flag, then environment, then profile, then file, then default."""
    offline.write(TOML)
    cli = offline.with_environ(AGCOD_PARTNER_ID="Acme9", AGCOD_LEDGER="from-environment.db")
    found = values(cli, "--ledger", "from-flag.db")
    assert found["ledger"] == ("from-flag.db", "flag --ledger")
    assert found["partner_id"] == ("Acme9", "environment AGCOD_PARTNER_ID")
    assert found["endpoint"] == ("eu-sandbox", "agcod.toml [profiles.europe]")
    assert found["profile"] == ("europe", "agcod.toml")
    assert found["timeout"] == ("4.5", "agcod.toml")
    assert found["wire_format"] == ("json", "default")
    assert found["ceiling"] == (None, "not set")
    assert found.keys() >= {field.name for field in FIELDS}


def test_a_profile_by_flag(offline):
    """It goes before the file's own choice."""
    offline.write(TOML)
    found = values(offline, "--profile", "live")
    assert (found["endpoint"][0], found["partner_id"][0]) == ("eu", "Acme2")
    assert found["profile"] == ("live", "flag --profile")


def test_another_file(offline):
    """By flag or by variable; what it names is beside it, wherever the command runs."""
    folder = offline.folder / "elsewhere"
    folder.mkdir()
    path = folder / "mine.toml"
    path.write_text('ledger = "a.db"\ncredentials_file = "/absolute/key.json"\n')
    for found in (
        values(offline, "--config", str(path)),
        values(offline.with_environ(AGCOD_CONFIG=str(path))),
    ):
        assert found["ledger"] == (str(folder / "a.db"), "mine.toml")
        assert found["credentials_file"] == ("/absolute/key.json", "mine.toml")


def test_without_a_file(offline):
    """Nothing is needed but what a command asks for."""
    assert "File: none" in offline("config", terminal=True).err
    offline.write(TOML)
    assert "agcod.toml" in offline("config", terminal=True).err


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ('endpont = "na"', "unknown key 'endpont'", "did you mean 'endpoint'?"),
        ('profiel = "x"', "unknown key 'profiel'", "did you mean 'profile'?"),
        ("zzz = 1", "unknown key 'zzz'", "known are partner_id"),
        ('[profiles.eu]\nendpont = "eu"', "agcod.toml [profiles.eu]: unknown key", "'endpoint'"),
        ('profile = "euu"\n[profiles.eu]', "no profile 'euu'", "did you mean 'eu'?"),
        ('profile = "us"', "no profile 'us'", "write [profiles.us]"),
        ('secret_access_key = "abc"', "looks like a secret", "AGCOD_SECRET_ACCESS_KEY"),
        ('[profiles.eu]\nPassword = "abc"', "looks like a secret", "credentials_file"),
        ('ledger = "postgresql://me:word@db/x"', "holds a password", "PGPASSWORD"),
        ("profiles = 3", "must be a table", None),
        ("[profiles]\neu = 3", "profiles.eu must be a table", None),
        ("timeout = true", "must be text or a number", None),
        ("timeout = [1]", "must be text or a number", None),
        ("endpoint = ", "is not TOML", None),
    ],
)
def test_a_file_that_cannot_be_meant(offline, text, message, fix):
    """Each mistake is named, with the nearest right thing; a secret is never quoted."""
    offline.write(text)
    result = offline("config")
    assert result.code == 2
    assert message in result.error["message"]
    assert (fix or "") in (result.error["fix"] or "")
    assert "abc" not in result.err
    assert "word@" not in result.err


@pytest.mark.parametrize("make", ["missing", "folder", "bytes"])
def test_a_file_that_cannot_be_read(offline, make):
    """A file that was asked for must be there."""
    path = offline.folder / "mine.toml"
    if make == "folder":
        path.mkdir()
    elif make == "bytes":
        path.write_bytes(b"\xff")
    result = offline("config", "--config", "mine.toml" if make == "missing" else str(path))
    assert (result.code, "cannot be read" in result.error["message"]) == (2, True)


def test_no_password_in_a_flag(offline):
    """Every user of the machine can read the command lines of all processes."""
    result = offline("status", "--ledger", "postgresql://me:word@db/x")
    assert (result.code, "PGPASSWORD" in result.error["fix"]) == (2, True)
    assert "word@" not in result.err


def test_a_password_in_the_environment_is_masked(offline):
    """It may be there; it is not shown."""
    found = values(offline.with_environ(AGCOD_LEDGER="postgresql://me:word@db/x"))
    assert found["ledger"][0] == "postgresql://me:****@db/x"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("wire_format", "yaml", "neither json nor xml"),
        ("timeout", "soon", "not a number of seconds"),
        ("ceiling", "100", "100.00 USD"),
        ("ceiling", "a lot", "100.00 USD"),
        ("endpoint", "us-sandbox", "endpoint"),
        ("ledger", "mysql://db/x", "postgresql://"),
    ],
)
def test_a_value_that_cannot_work(cli, name, value, says):
    """The message names the setting, and where it came from."""
    environ = {f"AGCOD_{name.upper()}": value, "AGCOD_REGION": None}
    environ |= {} if name == "endpoint" else {"AGCOD_REGION": "us-east-1"}
    result = cli.with_environ(**environ)("create", "a", "5", "USD", "--yes")
    assert (result.code, says in result.error["message"]) == (2, True)


def test_xml(cli):
    """The other format of the service, and a time-out of one's own."""
    cli.write('wire_format = "xml"\ntimeout = 30\n')
    assert cli("funds").record["available"] == "10000.00"


def test_a_ceiling(cli, emulator):
    """No single reward may be worth more, whoever made the slip."""
    cli.write('ceiling = "20.00 USD"\n')
    result = cli("create", "a", "25.00", "USD", "--yes")
    assert (result.code, "ceiling" in result.error["message"]) == (2, True)
    assert cli("create", "a", "20.00", "USD", "--yes").code == 0


@pytest.mark.parametrize(
    ("endpoint", "is_real"),
    [
        (Endpoint.NA, True),
        (Endpoint.FE_SANDBOX, False),
        (Endpoint.custom("https://localhost:8443", region="us-east-1"), False),
        (Endpoint.custom("https://[::1]", region="us-east-1"), False),
        (Endpoint.custom("https://proxy.example", region="us-east-1"), True),
        (Endpoint.custom("https://agcod-v2-eu.amazon.com", region="eu-west-1"), True),
        (Endpoint.custom("https://agcod-v2-eu-gamma.amazon.com", region="eu-west-1"), False),
    ],
)
def test_whose_money_it_is(endpoint, is_real):
    """What is no sandbox and no emulator of this machine is taken for real money."""
    assert spends_real_money(endpoint) is is_real


@pytest.mark.parametrize(
    ("endpoint", "flags", "says"),
    [
        ("na", [], "is production: real money"),
        ("https://proxy.example", [], "is production: real money"),
        ("na-sandbox", ["--production"], "is not production"),
        ("https://localhost:8443", ["--production"], "is not production"),
    ],
)
@pytest.mark.parametrize("command", [["funds"], ["create", "a", "5", "USD", "--yes"], ["recover", "--yes"]])
def test_production_needs_both(offline, endpoint, flags, says, command):
    """The flag and the endpoint have to agree; nothing is sent otherwise."""
    cli = offline.with_environ(
        AGCOD_REGION="us-east-1",
        AGCOD_PARTNER_ID="Acme1",
        AGCOD_ACCESS_KEY_ID="AKID",
        AGCOD_SECRET_ACCESS_KEY="s",
    )
    result = cli(*command, "--endpoint", endpoint, *flags)
    assert result.code == 2
    assert says in result.error["message"]
    assert "flag --endpoint" in result.error["message"]
    assert not list(cli.folder.iterdir())
