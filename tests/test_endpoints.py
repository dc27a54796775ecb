from __future__ import annotations

import dataclasses

import pytest

from agcod_async import ConfigurationError, Endpoint
from tests.support.copies import TRAVELS

# Copied by hand from the reference, "Hosts": name, environment, host, signing region.
SIX = [
    ("NA_SANDBOX", "sandbox", "agcod-v2-gamma.amazon.com", "us-east-1"),
    ("EU_SANDBOX", "sandbox", "agcod-v2-eu-gamma.amazon.com", "eu-west-1"),
    ("FE_SANDBOX", "sandbox", "agcod-v2-fe-gamma.amazon.com", "us-west-2"),
    ("NA", "production", "agcod-v2.amazon.com", "us-east-1"),
    ("EU", "production", "agcod-v2-eu.amazon.com", "eu-west-1"),
    ("FE", "production", "agcod-v2-fe.amazon.com", "us-west-2"),
]
# Copied by hand from the reference, "Countries and currencies", in its own spelling.
COUNTRIES = {
    "NA": {"US": "USD", "CA": "CAD", "MX": "MXN"},
    "EU": {
        "IT": "EUR", "ES": "EUR", "DE": "EUR", "FR": "EUR", "NL": "EUR", "BE": "EUR", "UK": "GBP",
        "TR": "TRY", "UAE": "AED", "KSA": "SAR", "PL": "PLN", "SE": "SEK", "EG": "EGP", "ZA": "ZAR",
    },
    "FE": {"JP": "JPY", "AU": "AUD", "SG": "SGD"},
}  # fmt: skip
SPELLINGS = {"UK": "GB", "UAE": "AE", "KSA": "SA"}


@pytest.mark.parametrize(("name", "environment", "host", "region"), SIX)
def test_host_and_region_belong_together(name, environment, host, region):
    """A request signed for another region is refused; a sandbox test at a production host costs money."""
    endpoint = getattr(Endpoint, name)
    assert (endpoint.environment, endpoint.host, endpoint.region) == (environment, host, region)
    assert endpoint.origin == f"https://{host}"
    assert endpoint.ca_file is None


@pytest.mark.parametrize("name", [row[0] for row in SIX])
@pytest.mark.parametrize("write", [str.lower, str.upper, lambda name: f" {name.lower()} "])
@pytest.mark.parametrize("dash", ["-", "_"])
def test_names_from_the_environment_are_read_kindly(name, write, dash):
    """``na-sandbox`` and ``NA_SANDBOX`` are the same wish."""
    assert Endpoint.from_name(write(name).replace("_", dash)) is getattr(Endpoint, name)


@pytest.mark.parametrize(("name", "environment", "host", "region"), SIX)
def test_an_endpoint_is_known_by_one_name_however_it_was_written(name, environment, host, region):
    """A ledger tells accounts apart by it: production written out as a URL is the same production."""
    identity = getattr(Endpoint, name).identity
    assert identity == name.lower().replace("_", "-")
    assert Endpoint.custom(f"https://{host}:443/", region=region).identity == identity


def test_a_custom_endpoint_is_known_by_its_origin():
    """No host name of a network of one's own can pass for one of the six."""
    assert Endpoint.custom("https://Localhost:8443", region="us-east-1").identity == "https://localhost:8443"
    assert Endpoint.custom("https://na", region="us-east-1").identity == "https://na"


@pytest.mark.parametrize("name", ["", "us", "sandbox", "production", "na-gamma", "custom"])
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    """No name falls back to an endpoint nobody wrote."""
    with pytest.raises(
        ConfigurationError, match=r"endpoint: .* is none of na, eu, fe, na-sandbox, eu-sandbox, fe-"
    ):
        Endpoint.from_name(name)


@pytest.mark.parametrize("sandbox", [True, False])
@pytest.mark.parametrize(
    ("group", "country", "currency"),
    [(group, *each) for group, countries in COUNTRIES.items() for each in countries.items()],
)
def test_every_country_has_its_endpoint_and_currency(group, country, currency, sandbox):
    """The service's own country codes find the endpoint, and the ISO codes behind them too."""
    expected = getattr(Endpoint, f"{group}_SANDBOX" if sandbox else group)
    iso = SPELLINGS.get(country, country)
    for code in (country, country.lower(), iso):
        assert Endpoint.for_country(code, sandbox=sandbox) is expected
    assert expected.marketplaces[iso] == currency


@pytest.mark.parametrize("group", COUNTRIES)
def test_no_country_is_listed_beyond_the_documents(group):
    """A marketplace too many would silence the warning about an unlisted currency."""
    endpoint = getattr(Endpoint, group)
    assert len(endpoint.marketplaces) == len(COUNTRIES[group])
    assert endpoint.currencies == set(COUNTRIES[group].values())


@pytest.mark.parametrize("country", ["IN", "", "XX", "Germany"])
def test_an_unserved_country_is_refused_with_the_served_ones(country):
    """India is on no list; the message says who is."""
    with pytest.raises(
        ConfigurationError, match=r"country: no endpoint is known to serve .*; known are AE, AU, BE"
    ):
        Endpoint.for_country(country, sandbox=True)


def test_the_environment_is_always_written_out():
    """Whether money is real is never a default."""
    with pytest.raises(TypeError, match="sandbox"):
        Endpoint.for_country("DE")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://gateway.example", "https://gateway.example"),
        ("https://gateway.example/", "https://gateway.example"),
        ("HTTPS://Gateway.Example:443", "https://gateway.example"),
        ("https://gateway.example:8443", "https://gateway.example:8443"),
        ("https://my_service:8443", "https://my_service:8443"),
        ("https://localhost:80", "https://localhost:80"),
        ("http://localhost", "http://localhost"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.8.8.8:8080", "http://127.8.8.8:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://[::1]", "http://[::1]"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_a_custom_endpoint_has_its_urls_authority(url, origin):
    """The signed host header is what HTTP libraries send: lower case, no port where it is the scheme's."""
    endpoint = Endpoint.custom(url, region="eu-west-1", ca_file="ca.pem")
    assert endpoint.origin == origin
    assert endpoint.host == origin.partition("://")[2]
    assert (endpoint.name, endpoint.environment, endpoint.region) == ("custom", "custom", "eu-west-1")
    assert endpoint.ca_file == "ca.pem"
    assert endpoint.currencies == frozenset()


@pytest.mark.parametrize(
    "url",
    [
        "http://gateway.example",
        "http://10.0.0.1",
        "http://0.0.0.0:8080",
        "http://[2001:db8::1]",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "http://2130706433",
    ],
)
def test_plain_http_leaves_this_machine_nowhere(url):
    """Claim codes would travel in the clear; only loopback is nobody else's wire."""
    with pytest.raises(ConfigurationError, match=r"url: .* is not this machine: use https"):
        Endpoint.custom(url, region="us-east-1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "gateway.example",
        "ftp://gateway.example",
        "https://",
        "https://:8443",
        "https:///path",
        "https://gate way.example",
        "https://gätéway.example",
        "https://gateway.example:https",
        "https://gateway.example:99999",
        "https://[::1",
        "https://[nonsense]",
        "https://user:canary@gateway.example:port",
        "ftp://user:canary@gateway.example",
    ],
)
def test_what_is_no_url_is_refused(url):
    """The message shows a URL that would do, and repeats no password."""
    with pytest.raises(ConfigurationError, match=r"url: .*'https://localhost:8443'") as caught:
        Endpoint.custom(url, region="us-east-1")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://gateway.example/v2",
        "https://gateway.example?stage=beta",
        "https://gateway.example#top",
        "https://user@gateway.example",
        "https://user:canary@gateway.example",
        "https://@gateway.example",
    ],
)
def test_only_scheme_host_and_port_belong_in_it(url):
    """The path is the operation's and the credentials sign: neither has a place in the URL."""
    with pytest.raises(ConfigurationError, match="url: only scheme, host and port belong in it") as caught:
        Endpoint.custom(url, region="us-east-1")
    assert "canary" not in str(caught.value)


def test_a_custom_endpoint_needs_a_region():
    """A host says nothing about the region that signatures are made for."""
    with pytest.raises(ConfigurationError, match="region: a custom endpoint needs the region to sign for"):
        Endpoint.custom("https://gateway.example", region="")


CUSTOM = Endpoint.custom("https://gateway.example", region="us-east-1")


@pytest.mark.parametrize("endpoint", [*(getattr(Endpoint, row[0]) for row in SIX), CUSTOM])
@pytest.mark.parametrize("travel", TRAVELS)
def test_an_endpoint_travels(endpoint, travel):
    """Settings are copied, and handed to worker processes."""
    travelled = TRAVELS[travel](endpoint)
    assert travelled == endpoint
    assert hash(travelled) == hash(endpoint)
    assert travelled.currencies == endpoint.currencies


def test_endpoints_differ():
    """They are keys of throttles and caches."""
    assert len({getattr(Endpoint, row[0]) for row in SIX} | {CUSTOM}) == 7


@pytest.mark.parametrize("endpoint", [Endpoint.NA, TRAVELS["pickle"](Endpoint.NA)])
def test_an_endpoint_is_a_value(endpoint):
    """One caller cannot move another caller's endpoint, nor its countries."""
    with pytest.raises(AttributeError):
        endpoint.host = "evil.example"
    with pytest.raises(TypeError):
        endpoint.marketplaces["US"] = "EUR"


def test_no_way_leads_to_http_off_loopback():
    """Neither the constructor nor a copy with another scheme sends money in the clear."""
    with pytest.raises(ConfigurationError, match="use https"):
        dataclasses.replace(Endpoint.NA, scheme="http")
