"""An authority for a test, files with its certificates, and clients' contexts that trust it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import trustme

from amqpd.config import Config
from amqpd.net.tls import Certificates, settings_of


class Authority:
    """A certificate authority whose files are in a directory.

    Args:
        folder: the directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ca = trustme.CA()
        self.path = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.path)

    def issue(self, name: str, *hosts: str, common_name: str | None = None, until: datetime | None = None) -> Path:
        """A file with a certificate for these hosts, and its key."""
        begin = None if until is None else datetime(2000, 1, 1, tzinfo=UTC)
        issued = self._ca.issue_cert(
            *hosts, common_name=common_name, organization_name="Example", not_before=begin, not_after=until
        )
        path = self.folder / f"{name}.pem"
        path.unlink(missing_ok=True)
        issued.private_key_and_cert_chain_pem.write_to_path(path)
        return path

    def config(self, **options: object) -> Config:
        """TLS with a certificate for ``localhost``, and these options."""
        given: dict[str, object] = {"tls_certificate": self.issue("server", "localhost"), **options}
        return Config(port=0, tls_port=0, memory=True, no_management=True, **given)  # type: ignore[arg-type] # tests' own

    def certificates(self, **options: object) -> Certificates:
        """What the broker makes of config()."""
        settings = settings_of(self.config(**options))
        assert settings is not None
        return Certificates(settings)

    def client(self, certificate: Path | None = None) -> ssl.SSLContext:
        """A client's context, with a certificate of its own or without."""
        context = ssl.create_default_context(cafile=str(self.path))
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context


def shaken(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext, host: str = "localhost"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends, server first, after a handshake in memory.

    Raises:
        ssl.SSLError: one side refused.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    pending = [client, server]
    while pending:
        for side in list(pending):
            try:
                side.do_handshake()
                pending.remove(side)
            except ssl.SSLWantReadError:
                continue
    return server, client
