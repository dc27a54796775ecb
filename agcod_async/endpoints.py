"""The service's endpoints: host, signing region, environment and marketplaces as one value."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

Environment = Literal["sandbox", "production", "custom"]

_NA = {"US": "USD", "CA": "CAD", "MX": "MXN"}
_EU = {
    "IT": "EUR", "ES": "EUR", "DE": "EUR", "FR": "EUR", "NL": "EUR", "BE": "EUR", "GB": "GBP", "TR": "TRY",
    "AE": "AED", "SA": "SAR", "PL": "PLN", "SE": "SEK", "EG": "EGP", "ZA": "ZAR",
}  # fmt: skip
_FE = {"JP": "JPY", "AU": "AUD", "SG": "SGD"}
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
# The service's documents say UK, UAE and KSA where ISO 3166 says GB, AE and SA.
_ALIASES = {"UK": "GB", "UAE": "AE", "KSA": "SA"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """
    One of the six endpoints, or a custom one.

    There is no default: which environment pays is always written out. Host and region cannot be
    mixed up, because they come together (Incentives API, "Base URLs and regions").
    """

    NA: ClassVar[Endpoint]
    EU: ClassVar[Endpoint]
    FE: ClassVar[Endpoint]
    NA_SANDBOX: ClassVar[Endpoint]
    EU_SANDBOX: ClassVar[Endpoint]
    FE_SANDBOX: ClassVar[Endpoint]

    name: str
    """``na``, ``na-sandbox`` … or ``custom``."""

    host: str
    """The authority of the URL, with a port where it is not the scheme's own."""

    region: str
    """The AWS region that signatures are made for."""

    environment: Environment

    marketplaces: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Country (ISO 3166) to currency; the lists grow, so they inform and never refuse."""

    scheme: Literal["https", "http"] = "https"

    ca_file: str | None = None
    """A PEM file of the authorities trusted for a custom endpoint instead of the public ones."""

    def __post_init__(self) -> None:
        if self.scheme != "https" and not self.is_loopback:
            raise ConfigurationError(
                f"url: {self.host} is not this machine: use https, or money travels in the clear"
            )

    @property
    def origin(self) -> str:
        """Scheme and authority, ready for a path to follow."""
        return f"{self.scheme}://{self.host}"

    @property
    def identity(self) -> str:
        """What a ledger calls it: the name of one of the six, however it was written, or a custom origin."""
        return next((each.name for each in _SIX if each.host == self.host), self.origin)

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine's own, such as an emulator's."""
        return _is_loopback(urlsplit(self.origin).hostname or "")

    @property
    def currencies(self) -> frozenset[str]:
        """The currencies known to be used here; empty for a custom endpoint."""
        return frozenset(self.marketplaces.values())

    def __hash__(self) -> int:
        return hash((self.origin, self.region))

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only view of a mapping can be neither pickled nor copied.
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        del values["marketplaces"]
        return _restored, (dict(self.marketplaces), values)

    @classmethod
    def from_name(cls, name: str) -> Endpoint:
        """Return the endpoint called *name*: ``na-sandbox``, ``eu`` …; letter case does not matter."""
        for endpoint in _SIX:
            if endpoint.name == name.strip().lower().replace("_", "-"):
                return endpoint
        known = ", ".join(endpoint.name for endpoint in _SIX)
        raise ConfigurationError(f"endpoint: {name!r} is none of {known}")

    @classmethod
    def for_country(cls, country: str, *, sandbox: bool) -> Endpoint:
        """Return the endpoint that serves *country* (``DE``, ``GB`` or ``UK`` …)."""
        code = _ALIASES.get(country.upper(), country.upper())
        environment = "sandbox" if sandbox else "production"
        for endpoint in _SIX:
            if code in endpoint.marketplaces and endpoint.environment == environment:
                return endpoint
        known = ", ".join(sorted(code for each in _SIX[:3] for code in each.marketplaces))
        raise ConfigurationError(f"country: no endpoint is known to serve {country!r}; known are {known}")

    @classmethod
    def custom(cls, url: str, *, region: str, ca_file: str | None = None) -> Endpoint:
        """
        Return an endpoint of your own: a proxy, or an emulator.

        Raises:
            ConfigurationError:
                *url* has no host, has more than scheme, host and port, or is http for a host that is
                not this machine's loopback.
        """
        # The messages do not quote the URL: there may be a password in it.
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ConfigurationError("url: no host and port as in 'https://localhost:8443'") from None
        if parts.scheme not in ("https", "http") or not host or not _HOST.fullmatch(host):
            raise ConfigurationError("url: not a URL such as 'https://localhost:8443'")
        if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
            raise ConfigurationError(
                "url: only scheme, host and port belong in it: the path is the operation's"
            )
        if not region:
            raise ConfigurationError(
                "region: a custom endpoint needs the region to sign for, such as 'us-east-1'"
            )
        authority = f"[{host}]" if ":" in host else host
        if port is not None and port != {"https": 443, "http": 80}[parts.scheme]:
            authority = f"{authority}:{port}"
        scheme: Literal["https", "http"] = "https" if parts.scheme == "https" else "http"
        return cls(
            name="custom", host=authority, region=region, environment="custom", scheme=scheme, ca_file=ca_file
        )


def _restored(marketplaces: dict[str, str], values: dict[str, Any]) -> Endpoint:
    return Endpoint(marketplaces=MappingProxyType(marketplaces), **values)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _both(name: str, host: str, region: str, marketplaces: dict[str, str]) -> tuple[Endpoint, Endpoint]:
    frozen = MappingProxyType(marketplaces)
    production = Endpoint(
        name=name, host=f"{host}.amazon.com", region=region, environment="production", marketplaces=frozen
    )
    sandbox = Endpoint(
        name=f"{name}-sandbox",
        host=f"{host}-gamma.amazon.com",
        region=region,
        environment="sandbox",
        marketplaces=frozen,
    )
    return production, sandbox


Endpoint.NA, Endpoint.NA_SANDBOX = _both("na", "agcod-v2", "us-east-1", _NA)
Endpoint.EU, Endpoint.EU_SANDBOX = _both("eu", "agcod-v2-eu", "eu-west-1", _EU)
# The Far East endpoint really is signed for us-west-2.
Endpoint.FE, Endpoint.FE_SANDBOX = _both("fe", "agcod-v2-fe", "us-west-2", _FE)
_SIX = (
    Endpoint.NA, Endpoint.EU, Endpoint.FE, Endpoint.NA_SANDBOX, Endpoint.EU_SANDBOX, Endpoint.FE_SANDBOX,
)  # fmt: skip
