from __future__ import annotations

import logging

import pytest

from agcod_async import AgcodSession, ConfigurationError, Endpoint
from agcod_async.environment import Variables, configure_log, endpoint_from, require_variable
from agcod_async.events import LOGGER
from tests.support.transports import ScriptedTransport

ENVIRON = {
    "AGCOD_PARTNER_ID": "Acme1",
    "AGCOD_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AGCOD_SECRET_ACCESS_KEY": "example-secret",
    "AGCOD_ENDPOINT": "eu-sandbox",
}


@pytest.fixture
def restored_log():
    """The package's logger is one for the process: leave it as it was."""
    level, handlers = LOGGER.level, list(LOGGER.handlers)
    yield LOGGER
    LOGGER.setLevel(level)
    LOGGER.handlers[:] = handlers


def test_a_session_comes_from_the_environment():
    """Four variables are all that a container needs."""
    session = AgcodSession.from_env(ENVIRON, transport=ScriptedTransport())
    assert session.partner_id == "Acme1"
    assert session.endpoint is Endpoint.EU_SANDBOX


def test_the_process_environment_is_the_default(monkeypatch):
    """Without an argument the variables of this process count."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    assert AgcodSession.from_env(transport=ScriptedTransport()).endpoint is Endpoint.EU_SANDBOX


@pytest.mark.parametrize("name", ENVIRON)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_variable_is_named_at_start_up(name, value):
    """A deployment without its key fails when it starts, not at the first reward."""
    environ = {key: each for key, each in ENVIRON.items() if key != name}
    if value is not None:
        environ[name] = value
    with pytest.raises(ConfigurationError, match=f"environment variable {name} is not set"):
        AgcodSession.from_env(environ)


def test_spaces_around_a_value_are_dropped():
    """Secrets mounted from files end in a line end."""
    assert require_variable({"NAME": " value\n"}, "NAME") == "value"


def test_an_endpoint_may_be_a_url():
    """An emulator is reached with a region and, for its own certificate, a file of authorities."""
    environ = {
        "AGCOD_ENDPOINT": "https://localhost:8443",
        "AGCOD_REGION": "us-east-1",
        "AGCOD_CA_FILE": "ca.pem",
    }
    assert endpoint_from(environ) == Endpoint.custom(
        "https://localhost:8443", region="us-east-1", ca_file="ca.pem"
    )
    assert endpoint_from(environ | {"AGCOD_CA_FILE": ""}).ca_file is None


def test_a_url_needs_its_region():
    """A host says nothing about the region that signatures are made for."""
    with pytest.raises(ConfigurationError, match="environment variable AGCOD_REGION is not set"):
        endpoint_from({"AGCOD_ENDPOINT": "https://localhost:8443"})


def test_plain_http_off_loopback_is_refused_here_too():
    """The rule about money in the clear has no side door."""
    with pytest.raises(ConfigurationError, match="use https"):
        endpoint_from({"AGCOD_ENDPOINT": "http://gateway.example", "AGCOD_REGION": "us-east-1"})


@pytest.mark.parametrize("level", ["debug", "INFO", "Warning", "error"])
def test_the_log_goes_to_stderr_from_the_level_named(level, restored_log, capsys):
    """One variable shows what happens, in a program that configures no logging."""
    configure_log({"AGCOD_LOG": level})
    restored_log.log(logging.getLevelName(level.upper()), "told")
    restored_log.log(logging.getLevelName(level.upper()) - 1, "not told")
    assert capsys.readouterr().err.endswith(f" {level.upper()} agcod_async told\n")


def test_two_sessions_log_every_line_once(restored_log):
    """Configuring twice adds no second handler."""
    for _ in range(2):
        configure_log({"AGCOD_LOG": "debug"})
    assert sum(type(handler) is logging.StreamHandler for handler in restored_log.handlers) == 1


@pytest.mark.parametrize("environ", [{}, {"AGCOD_LOG": ""}])
def test_nothing_is_logged_unless_asked(environ, restored_log):
    """A library leaves the log of a program alone."""
    before = list(restored_log.handlers)
    configure_log(environ)
    assert restored_log.handlers == before


def test_an_unknown_level_is_refused(restored_log):
    """A slip in the variable would otherwise hide the log that was asked for."""
    with pytest.raises(
        ConfigurationError, match="AGCOD_LOG: 'VERBOSE' is none of debug, info, warning, error"
    ):
        configure_log({"AGCOD_LOG": "verbose"})


def test_the_environment_is_seen_by_those_who_ask_for_a_name_alone():
    """It holds the secret key, and every frame that found something missing holds it."""
    environ = dict(ENVIRON)
    variables = Variables(environ)
    environ["AGCOD_PARTNER_ID"] = "Acme2"
    assert (variables["AGCOD_PARTNER_ID"], len(variables), set(variables)) == ("Acme2", 4, set(ENVIRON))
    assert repr(variables) == str(variables) == "<4 variables>"
