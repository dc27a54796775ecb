"""What no output may contain: codes and signatures by their form, keys by what was planted."""

from __future__ import annotations

import base64
import hmac
import re

import pytest

from agcod_async.secret import Secret
from agcod_async.signer import SigV4Signer

SENSITIVE = re.compile(
    r"[A-Z0-9]{4}-[A-Z0-9]{6}-[A-Z0-9]{4}"  # a claim code; in a database, it has no space around it
    r"|Signature=[0-9a-f]{64}"  # an Authorization header
    r"|canary-secret-key"  # the planted secret key
)

_HEX = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_SHORTEST = 12
"""Of a planted secret: "secret" is a word, and stands in many a sentence."""
_MOST = 100
"""Secrets of one test. Properties plant thousands; what they leak, they leak with the first ones, too."""


class Planted:
    """What the package was given to keep, and what it made of it: of the running test, and of all tests."""

    def __init__(self) -> None:
        self._lasting: set[str] = set()
        self._secrets: set[str] = set()
        self._signatures: set[str] = set()
        self._derived: set[tuple[str, str, str]] = set()

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Learn of every :class:`Secret` that is made, of every signature, and of the key behind it."""
        make, sign = Secret.__init__, SigV4Signer.sign

        def made(secret, value):
            make(secret, value)
            self.secret(value)

        def signed(signer, request, credentials, *, at):
            result = sign(signer, request, credentials, at=at)
            self.signature(credentials.secret_access_key.reveal(), result.headers["authorization"])
            return result

        monkeypatch.setattr(Secret, "__init__", made)
        monkeypatch.setattr(SigV4Signer, "sign", signed)

    def secret(self, value: str) -> None:
        """Look for *value* from now on."""
        if len(value) >= _SHORTEST and len(self._secrets) < _MOST and SENSITIVE.search(value) is None:
            self._secrets.add(value)

    def signature(self, secret: str, authorization: str) -> None:
        """Look for the signature in *authorization* from now on, and for the key derived from *secret*."""
        self._signatures.add(authorization.rpartition("Signature=")[2])
        day, region, service, _ = authorization.partition(", SignedHeaders=")[0].rsplit("/", 4)[1:]
        if (known := (secret, day, region)) not in self._derived:
            self._derived.add(known)
            key = derived_key(secret, day, region, service, "aws4_request")
            for text in (key.hex(), base64.b64encode(key).decode(), repr(key)[2:-1], key.decode("latin-1")):
                self.secret(text)

    def keep(self) -> None:
        """What was planted up to now lasts for all tests."""
        self._lasting |= self._secrets
        self.forget()

    def forget(self) -> None:
        """A test is over."""
        self._secrets.clear()
        self._signatures.clear()
        self._derived.clear()

    def kind_in(self, text: str) -> str | None:
        """Return what kind of secret stands in *text*, if any."""
        if SENSITIVE.search(text):
            return "a code, an Authorization header or the planted key"
        if any(secret in text for secret in self._secrets) or any(secret in text for secret in self._lasting):
            return "a planted secret or a derived key"
        if self._signatures and not self._signatures.isdisjoint(_HEX.findall(text)):
            return "a signature"
        return None


def derived_key(secret: str, *scope: str) -> bytes:
    """Return the key that signs on a day in a region, made as the rules of the signature say."""
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return key
