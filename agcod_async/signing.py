"""What a signature is made of, and what was found wrong with one: plain values."""

from __future__ import annotations

import shlex
from base64 import b64encode
from typing import Literal

from msgspec import Struct

from .secret import Secret
from .wire import HTTPRequest

MASK = "****"


class SigningSteps(Struct, frozen=True, kw_only=True):
    """
    Every step behind one signature, in the order in which they are made.

    The signature opens the gateway for 15 minutes, so it is masked unless asked for, and this refuses
    pickling.
    """

    request: HTTPRequest
    """The signed request: exactly what leaves."""

    payload_hash: str
    """SHA-256 of the body."""

    canonical_request: str
    credential_scope: str
    """Day, region, service and terminator."""

    string_to_sign: str
    signed_headers: str
    """Their names, joined by semicolons."""

    access_key_id: str
    signature: Secret

    def __repr__(self) -> str:
        return f"<SigningSteps of {self.request!r}>"

    def authorization(self, *, reveal: bool = False) -> str:
        """Return the Authorization header."""
        header = self.request.headers["authorization"]
        return header if reveal else header.replace(self.signature.reveal(), MASK)

    def headers(self, *, reveal: bool = False) -> dict[str, str]:
        """Return every header that is sent."""
        return {**self.request.headers, "authorization": self.authorization(reveal=reveal)}

    def curl(self, *, reveal: bool = False) -> str:
        """Return the command that sends the same request; it works only with the signature revealed."""
        headers = self.headers(reveal=reveal)
        # From the URL, curl writes the same.
        del headers["host"]
        words = ["curl", "-sS", "-X", self.request.method, self.request.origin + self.request.path]
        for name, value in headers.items():
            words += ["-H", f"{name}: {value}"]
        text = self.request.body.decode("ascii", "replace")
        if text.isascii() and text.isprintable() and not text.startswith("@"):
            return shlex.join([*words, "--data-binary", text])
        encoded = b64encode(self.request.body).decode()
        return f"echo {encoded} | base64 -d | {shlex.join([*words, '--data-binary', '@-'])}"

    def as_dict(self, *, reveal: bool = False) -> dict[str, str | dict[str, str]]:
        """Return all of it, ready for a table or JSON."""
        return {
            "payload_hash": self.payload_hash,
            "canonical_request": self.canonical_request,
            "credential_scope": self.credential_scope,
            "string_to_sign": self.string_to_sign,
            "signed_headers": self.signed_headers,
            "signature": self.signature.reveal() if reveal else MASK,
            "headers": self.headers(reveal=reveal),
            "curl": self.curl(reveal=reveal),
        }


Cause = Literal[
    "secret", "method", "path", "double_encoded_path", "query", "host", "header", "added_header",
    "missing_header", "body", "date", "clock", "region", "service", "unknown_key", "inactive_key",
    "other_environment", "not_allowed", "unclear",
]  # fmt: skip
"""
What a signature was refused for.

``secret``: everything agrees, so only the key is left. ``other_environment``: production does not know the
key, and the sandbox has keys of its own, or the other way round. ``unclear``: the refusal does not say.
"""


class Diagnosis(Struct, frozen=True, kw_only=True):
    """Why the gateway refused a request, in one line that carries no secret."""

    cause: Cause
    text: str
    """What differs, and what to do about it: one line of at most 400 characters."""

    name: str | None = None
    """The header concerned."""

    ours: str | None = None
    theirs: str | None = None
    """What was signed and what the gateway saw instead, as far as both are known."""

    def __str__(self) -> str:
        return self.text
