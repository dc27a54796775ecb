"""What a command runs with, and where each value came from: a flag, the environment, agcod.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from ..endpoints import Endpoint
from ..environment import endpoint_from
from ..errors import ConfigurationError
from ..money import Money, payable
from .exits import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FILE = "agcod.toml"


@dataclass(frozen=True, slots=True)
class Field:
    """One setting: its name in agcod.toml, its variable, and whether it has a flag."""

    name: str
    variable: str
    help: str
    has_flag: bool = False
    is_path: bool = False


FIELDS = (
    Field("partner_id", "AGCOD_PARTNER_ID", "the id that the service gave you", has_flag=True),
    Field("endpoint", "AGCOD_ENDPOINT", "na-sandbox, eu, … or the URL of an emulator", has_flag=True),
    Field("region", "AGCOD_REGION", "signing region, for a URL"),
    Field("ca_file", "AGCOD_CA_FILE", "certificates to trust, for a URL", is_path=True),
    Field("wire_format", "AGCOD_WIRE_FORMAT", "json or xml"),
    Field("timeout", "AGCOD_TIMEOUT", "seconds for one attempt"),
    Field("ledger", "AGCOD_LEDGER", "file or PostgreSQL URL of the ledger", has_flag=True, is_path=True),
    Field("ceiling", "AGCOD_CEILING", "no single reward may be worth more, such as 100.00 USD"),
    Field("credentials_file", "AGCOD_CREDENTIALS_FILE", "key pair, in a file of mode 0600", is_path=True),
    Field("credentials_profile", "AGCOD_PROFILE", "key pair, in a profile of the AWS tools"),
    Field("keyring", "AGCOD_KEYRING", "service name of the key pair in the system's keyring"),
)
_BY_NAME = {field.name: field for field in FIELDS}
_DEFAULTS = {"wire_format": "json", "timeout": "6", "ledger": "rewards.db"}
_SECRET_WORDS = ("secret", "password", "passwd", "token", "private", "access_key")
_FLAGS = {field.name for field in FIELDS if field.has_flag}


@dataclass(frozen=True, slots=True)
class Setting:
    """A value, and where it came from."""

    value: str
    source: str


class Settings:
    """The settings of one run, looked up in this order: flag, environment, profile, file, default."""

    def __init__(self, values: Mapping[str, Setting], *, file: Path | None, profile: Setting | None) -> None:
        self.values = values
        self.file = file
        self.profile = profile

    def get(self, name: str) -> str | None:
        """Return a setting's value, if it has one."""
        setting = self.values.get(name)
        return None if setting is None else setting.value

    def require(self, name: str) -> str:
        """Return a setting's value; without one, say where it could be given."""
        value = self.get(name)
        if value is None:
            field = _BY_NAME[name]
            flag = f"give {flag_of(name)}, or " if field.has_flag else ""
            raise CommandError(
                f"{name} is not set: {field.help}",
                fix=f'{flag}set {field.variable}, or write {name} = "…" into {FILE}',
            )
        return value

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint, whatever it is: see :meth:`guarded_endpoint`."""
        environ = {"AGCOD_ENDPOINT": self.require("endpoint")}
        for name in ("region", "ca_file"):
            environ |= {_BY_NAME[name].variable: self.get(name) or ""}
        return endpoint_from(environ)

    def guarded_endpoint(self, *, production: bool) -> Endpoint:
        """Return the endpoint, if ``--production`` and the endpoint agree about whose money it is."""
        endpoint = self.endpoint
        source = self.values["endpoint"].source
        is_real = spends_real_money(endpoint)
        if is_real and not production:
            raise CommandError(
                f"endpoint {endpoint.name} (from {source}) is production: real money",
                fix="add --production if that is meant, or choose a sandbox, such as na-sandbox",
            )
        if production and not is_real:
            raise CommandError(
                f"--production was given, but endpoint {endpoint.name} (from {source}) is not production",
                fix="leave --production out, or choose na, eu or fe",
            )
        return endpoint

    @property
    def ledger(self) -> str:
        """Where the ledger is: a file, or a PostgreSQL URL."""
        return self.require("ledger")

    @property
    def wire_format(self) -> Literal["json", "xml"]:
        """How requests are written."""
        value = self.require("wire_format")
        if value == "json":
            return "json"
        if value == "xml":
            return "xml"
        raise self._bad("wire_format", "is neither json nor xml")

    @property
    def timeout(self) -> float:
        """Seconds for one attempt."""
        try:
            return float(self.require("timeout"))
        except ValueError:
            raise self._bad("timeout", "is not a number of seconds") from None

    @property
    def ceiling(self) -> Money | None:
        """What no single reward may exceed."""
        text = self.get("ceiling")
        if text is None:
            return None
        amount, _, currency = text.strip().partition(" ")
        try:
            return payable("ceiling", Money(amount, currency.strip()))
        except ConfigurationError:
            raise self._bad("ceiling", "is not an amount such as 100.00 USD") from None

    def _bad(self, name: str, what: str) -> CommandError:
        setting = self.values[name]
        return CommandError(f"{name} {setting.value!r} {what} (from {setting.source})")


def flag_of(name: str) -> str:
    """Return a setting's flag."""
    return "--" + name.replace("_", "-")


def spends_real_money(endpoint: Endpoint) -> bool:
    """Whether it is no sandbox and no emulator; what stands behind a remote URL nobody can tell."""
    return not (endpoint.is_loopback or endpoint.identity.endswith("-sandbox"))


def masked(text: str) -> str:
    """Return *text* as it may be shown: a URL without its password."""
    password = urlsplit(text).password if "://" in text else None
    return text.replace(f":{password}@", ":****@") if password else text


def load(flags: Mapping[str, str | None], environ: Mapping[str, str], folder: Path) -> Settings:
    """
    Look every setting up.

    Args:
        flags: by setting, and ``config`` and ``profile``; None where a flag was not given.
        environ: the environment.
        folder: where agcod.toml is looked for.

    Raises:
        CommandError: the file cannot be read, has a key that nobody knows, or holds a secret.
    """
    wanted = flags.get("config") or environ.get("AGCOD_CONFIG")
    file = Path(wanted).expanduser() if wanted else folder / FILE
    table = _read(file) if wanted or file.exists() else {}
    profiles = _as_table(table.pop("profiles", {}), file, "profiles")
    profile = _profile(flags, table)
    layers: list[dict[str, Setting]] = []
    if profile is not None:
        layers.append(
            _section(_chosen(profile, profiles, file), file, f"{file.name} [profiles.{profile.value}]")
        )
    layers.append(_section(table, file, file.name))
    for name, section in profiles.items():
        # Checked now: a mistake in a profile should not wait for the day on which it is needed.
        _section(_as_table(section, file, f"profiles.{name}"), file, f"{file.name} [profiles.{name}]")
    values: dict[str, Setting] = {name: Setting(value, "default") for name, value in _DEFAULTS.items()}
    for layer in reversed(layers):
        values |= layer
    for field in FIELDS:
        if environ.get(field.variable):
            values[field.name] = Setting(environ[field.variable], f"environment {field.variable}")
        flag = flags.get(field.name)
        if flag:
            values[field.name] = Setting(flag, f"flag {flag_of(field.name)}")
    _check_ledger(values.get("ledger"))
    return Settings(values, file=file if wanted or file.exists() else None, profile=profile)


def profile_names(folder: Path) -> list[str]:
    """Return the profiles of agcod.toml in *folder*, for a shell that completes; none if it is broken."""
    try:
        return sorted(_as_table(_read(folder / FILE).get("profiles", {}), folder / FILE, "profiles"))
    except CommandError:
        return []


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise CommandError(f"{file} cannot be read: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"{file} is not TOML: {error}") from None


def _profile(flags: Mapping[str, str | None], table: dict[str, Any]) -> Setting | None:
    from_file = table.pop("profile", None)
    if flags.get("profile"):
        return Setting(str(flags["profile"]), "flag --profile")
    return None if from_file is None else Setting(str(from_file), FILE)


def _chosen(profile: Setting, known: Mapping[str, Any], file: Path) -> dict[str, Any]:
    if profile.value in known:
        return _as_table(known[profile.value], file, f"profiles.{profile.value}")
    raise CommandError(
        f"there is no profile {profile.value!r} (from {profile.source}) in {file}",
        fix=_nearest(profile.value, known) or f"write [profiles.{profile.value}] into {file.name}",
    )


def _as_table(value: object, file: Path, name: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise CommandError(f"{file}: {name} must be a table: [{name}]")


def _section(table: Mapping[str, Any], file: Path, source: str) -> dict[str, Setting]:
    return {name: Setting(_value(name, value, file, source), source) for name, value in table.items()}


def _value(name: str, value: object, file: Path, source: str) -> str:
    field = _BY_NAME.get(name)
    if field is None:
        if any(word in name.lower() for word in _SECRET_WORDS):
            raise CommandError(
                f"{source}: {name!r} looks like a secret, and {file.name} is no place for one",
                fix="set AGCOD_ACCESS_KEY_ID and AGCOD_SECRET_ACCESS_KEY, or name a credentials_file",
            )
        raise CommandError(
            f"{source}: unknown key {name!r}",
            fix=_nearest(name, [*_BY_NAME, "profile", "profiles"]) or f"known are {', '.join(_BY_NAME)}",
        )
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise CommandError(f"{source}: {name} must be text or a number")
    text = str(value)
    if field.is_path and "://" not in text:
        # Relative to the file that says so, wherever the command runs.
        return str(file.parent / Path(text).expanduser())
    if name == "ledger" and urlsplit(text).password:
        raise CommandError(
            f"{source}: ledger holds a password, and {file.name} is no place for one",
            fix="leave the password out and set PGPASSWORD, or set AGCOD_LEDGER",
        )
    return text


def _check_ledger(setting: Setting | None) -> None:
    if setting and setting.source.startswith("flag") and masked(setting.value) != setting.value:
        raise CommandError(
            "--ledger holds a password, which every user of this machine could read",
            fix="leave the password out and set PGPASSWORD, or set AGCOD_LEDGER",
        )


def _nearest(name: str, known: Iterable[str]) -> str | None:
    matches = get_close_matches(name, list(known), n=1)
    return f"did you mean {matches[0]!r}?" if matches else None
