"""Request ids: the same for a reference on every machine, for ever."""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256

from ..checks import MAX_ID, check_partner_id
from ..errors import ConfigurationError

MAX_PARTNER_ID = 20
"""Characters of a partner id that leave room enough for a hash."""

_HASHED = 26
_BYTES = 20
_DOMAIN = "agcod-async request id 1"


def request_id(partner_id: str, reference: str, generation: int) -> str:
    """
    Return the id under which the service meets *reference*: *partner_id*, then letters and digits.

    It depends on nothing else, so that a lost ledger, a restored backup and a repeated job all meet the
    same card again; no rule of it may ever change. Letters are upper case only, for services that might
    not tell case apart.

    The hash has 130 bits with a partner id of up to 14 characters: the odds that any two of a thousand
    million references share an id are below 4e-22. The longest partner id leaves 100 bits, and 4e-13.

    Raises:
        ConfigurationError: the partner id is not alphanumeric, or longer than 20 characters.
    """
    check_partner_id(partner_id)
    if len(partner_id) > MAX_PARTNER_ID:
        raise ConfigurationError(f"partner_id: at most {MAX_PARTNER_ID} characters leave room for a hash")
    # The reference comes last and the others cannot hold a NUL: no two triples give the same text.
    text = f"{_DOMAIN}\0{partner_id}\0{generation}\0{reference}"
    hashed = b32encode(sha256(text.encode()).digest()[:_BYTES]).decode()
    return partner_id + hashed[: min(_HASHED, MAX_ID - len(partner_id))]
