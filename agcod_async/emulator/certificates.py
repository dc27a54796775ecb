"""Certificates made on the spot, by an authority that exists for one run."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

NAMES = ("localhost", "127.0.0.1", "::1")


class Authority:
    """A certificate authority and the server contexts that it vouches for."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def write_ca(self, folder: Path) -> str:
        """Write the certificate that a client has to trust; returns the path."""
        path = folder / "ca.pem"
        path.write_bytes(self._ca.cert_pem.bytes())
        return str(path)

    def context(self) -> ssl.SSLContext:
        """A server context with a good certificate."""
        return self._configured(self._ca.issue_cert(*NAMES))

    def expired_context(self) -> ssl.SSLContext:
        """A server context whose certificate ended yesterday."""
        yesterday = datetime.now(UTC) - timedelta(days=1)
        cert = self._ca.issue_cert(*NAMES, not_before=yesterday - timedelta(days=30), not_after=yesterday)
        return self._configured(cert)

    @staticmethod
    def _configured(cert: trustme.LeafCert) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        cert.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
        return context
