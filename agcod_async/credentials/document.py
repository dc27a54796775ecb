"""
Written key pairs, read: JSON, TOML, and the profile files of AWS.

What is wrong with a text is returned, as words that quote nothing of it, and not raised: a traceback would
carry the frames in which the secret stands.
"""

from __future__ import annotations

import re
from configparser import ConfigParser, Error
from datetime import datetime
from typing import Annotated

import msgspec

from ..errors import ConfigurationError
from .pair import Credentials


class _Pair(msgspec.Struct, kw_only=True):
    """What a document says."""

    access_key_id: str
    secret_access_key: str
    key_created: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


def pair_in(data: bytes) -> Credentials | str:
    """
    Return the pair in a JSON or TOML document, or what is wrong with it.

    It has ``access_key_id``, ``secret_access_key`` and, if one likes, ``key_created``. A document that
    breaks off is never taken for a whole one.
    """
    if not data.strip():
        return "it is empty"
    is_json = data.lstrip().startswith(b"{")
    try:
        found = (msgspec.json if is_json else msgspec.toml).decode(data, type=_Pair)
    except msgspec.ValidationError as wrong:
        return str(wrong)
    except (ValueError, RecursionError) as wrong:
        at = re.search(r"\([\w ,]+\)$", str(wrong))
        return f"no valid {'JSON' if is_json else 'TOML'}{' ' + at[0] if at else ''}"
    return _made(found)


def profile_in(data: bytes, name: str) -> Credentials | str:
    """Return the pair of the profile *name* in a file of profiles, or what is wrong with it."""
    if not data.strip():
        return "it is empty"
    if not data.endswith(b"\n"):
        # Only so a secret of which the second half is missing differs from a whole one.
        return "the last line has no line end: it may be half written"
    parser = ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(data.decode())
    except (Error, ValueError):
        return "no valid file of profiles"
    if name not in parser:
        return f"no profile {name!r} among {', '.join(parser.sections()) or 'none'}"
    profile = parser[name]
    if "aws_session_token" in profile:
        return f"profile {name!r} has an aws_session_token, and the service knows lasting pairs only"
    names = {
        "access_key_id": "aws_access_key_id",
        "secret_access_key": "aws_secret_access_key",
        "key_created": "agcod_key_created",
    }
    for required in ("aws_access_key_id", "aws_secret_access_key"):
        if not profile.get(required):
            return f"profile {name!r} has no {required}"
    given = {field: profile[option] for field, option in names.items() if option in profile}
    try:
        found = msgspec.convert(given, _Pair)
    except msgspec.ValidationError:
        return f"profile {name!r}: agcod_key_created must be a date and time with a time zone"
    return _made(found)


def _made(found: _Pair) -> Credentials | str:
    try:
        return Credentials(found.access_key_id, found.secret_access_key, key_created=found.key_created)
    except ConfigurationError as wrong:
        return wrong.message
