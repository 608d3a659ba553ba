"""TLS contexts: what certificate is shown for which host name, who is asked for one, and how new ones take over.

Every listener that speaks TLS is given the same context, ``Certificates.context``, for good. Its only work is to hand
each handshake to the context of the certificate that is valid now; ``reload`` replaces those, and connections that are
open keep what they have.

Rule: what may live here makes contexts of files. Sockets, and what a peer's certificate says, are elsewhere.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from amqpd.config import Config

VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME: to read a certificate that has had its time.
NO_CHECK_TIME: Final = 0x200000
# Forward secrecy, and AEAD or SHA-2. These are CPython's own, but Python as Debian builds it takes OpenSSL's default,
# with weaker ones; so they are named here.
CIPHERS: Final = "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
# A handshake in memory takes three exchanges.
EXCHANGES: Final = 6


class TLSError(Exception):
    """TLS cannot be used as it is configured. Its text is one sentence with the way out."""


class KeyPair(NamedTuple):
    """A certificate chain and its key; the key may be in the certificate's file."""

    certificate: Path
    key: Path | None


class TLSSettings(NamedTuple):
    """The configuration of TLS.

    Args:
        default: shown to clients that name no host, or none that there is a certificate for.
        hosts: certificates of other host names, in lower case; ``*.example.com`` is any one label there.
        password: of encrypted keys.
        ca: authorities whose certificates clients may show.
        verify: clients are asked for a certificate.
        insist: they must show one.
        min_version: of VERSIONS.
        ciphers: for TLS 1.2, in OpenSSL's words; None for CIPHERS.
    """

    default: KeyPair
    hosts: dict[str, KeyPair]
    password: str | None
    ca: Path | None
    verify: bool
    insist: bool
    min_version: str
    ciphers: str | None

    def files(self) -> list[Path]:
        """Every file that is read."""
        pairs = [self.default, *self.hosts.values()]
        named = [path for pair in pairs for path in pair] + [self.ca]
        return [path for path in dict.fromkeys(named) if path is not None]


class ShownCertificate(NamedTuple):
    """A certificate of the broker's own.

    Args:
        host: whom it is for; empty for the default.
        not_after: when it ends.
    """

    host: str
    path: Path
    not_after: datetime


def settings_of(config: Config) -> TLSSettings | None:
    """What a configuration says of TLS; None if nothing.

    Raises:
        TLSError: options that need another one.
    """
    if config.tls_certificate is None:
        if config.no_plain:
            raise TLSError("no_plain leaves nothing to listen on without TLS: give --tls-certificate.")
        for name in ("tls_key", "tls_ca", "tls_sni"):
            if getattr(config, name):
                raise TLSError(f"{name} is of no use without tls_certificate: give --tls-certificate.")
        return None
    verify = config.tls_verify == "peer"
    if verify and config.tls_ca is None:
        raise TLSError("tls_verify is peer, but there is no authority to verify with: give --tls-ca.")
    if config.tls_fail_if_no_peer_cert and not verify:
        raise TLSError("tls_fail_if_no_peer_cert asks for certificates that nobody verifies: give --tls-verify peer.")
    return TLSSettings(
        KeyPair(config.tls_certificate, config.tls_key),
        {host: KeyPair(certificate, key) for host, certificate, key in config.tls_sni},
        config.tls_key_password,
        config.tls_ca,
        verify,
        config.tls_fail_if_no_peer_cert,
        config.tls_min_version,
        config.tls_ciphers,
    )


class Certificates:
    """The certificates that the broker shows.

    Args:
        settings: where they are.

    Raises:
        TLSError: they cannot be used.
    """

    def __init__(self, settings: TLSSettings) -> None:
        self.settings = settings
        self.shown: list[ShownCertificate] = []
        self._default, self._hosts = self._load()
        self.context = make_context(settings, settings.default)
        self.context.sni_callback = self._choose

    def reload(self) -> None:
        """Read the files again; what connects from now on gets what is there.

        Raises:
            TLSError: they cannot be used; nothing has changed.
        """
        self._default, self._hosts = self._load()

    def _load(self) -> tuple[ssl.SSLContext, dict[str, ssl.SSLContext]]:
        settings = self.settings
        contexts: dict[str, ssl.SSLContext] = {}
        shown = []
        for host, pair in [("", settings.default), *settings.hosts.items()]:
            contexts[host] = make_context(settings, pair)
            shown.append(ShownCertificate(host, pair.certificate, try_out(settings, pair)))
        self.shown = shown
        return contexts.pop(""), contexts

    def _choose(self, tls: ssl.SSLObject, name: str | None, _outer: ssl.SSLContext) -> None:
        """A handshake begins: let it go on with the context of the name that the client asks for."""
        tls.context = self._find(name.lower()) if name else self._default

    def _find(self, name: str) -> ssl.SSLContext:
        found = self._hosts.get(name) or self._hosts.get("*." + name.partition(".")[2])
        return found or self._default


def make_context(settings: TLSSettings, pair: KeyPair) -> ssl.SSLContext:
    """A context for servers.

    Raises:
        TLSError: a file cannot be read or used, or there are no such ciphers.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[settings.min_version]
    # Renegotiation is work that a client can ask for again and again. Tickets would spare a client that comes back one
    # signature, and let it come back with a certificate that is trusted no more.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    _set_ciphers(context, CIPHERS if settings.ciphers is None else settings.ciphers)
    _load_pair(context, pair, settings.password)
    if settings.ca is not None:
        _load_authorities(context, settings.ca)
    if settings.verify:
        context.verify_mode = ssl.CERT_REQUIRED if settings.insist else ssl.CERT_OPTIONAL
    return context


def _load_pair(context: ssl.SSLContext, pair: KeyPair, password: str | None) -> None:
    asked: list[bool] = []

    def secret() -> str:
        asked.append(True)  # otherwise OpenSSL asks on the terminal
        return password or ""

    where = f"the key {pair.key}" if pair.key is not None else f"the key in {pair.certificate}"
    try:
        context.load_cert_chain(pair.certificate, pair.key, secret)
    except ssl.SSLError as error:
        if asked:
            way_out = "tls_key_password is not its password" if password else "give tls_key_password"
            raise TLSError(
                f"TLS cannot use the certificate {pair.certificate}: {where} is encrypted; {way_out}."
            ) from None
        raise TLSError(f"TLS cannot use the certificate {pair.certificate} with {where}: {words(error)}.") from None
    except OSError as error:
        unread = next((path for path in pair if path is not None and not _readable(path)), pair.certificate)
        raise TLSError(f"TLS cannot read {unread}: {error.strerror}.") from None


def _readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False


def _set_ciphers(context: ssl.SSLContext, ciphers: str) -> None:
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError:
        raise TLSError(f"TLS cannot be used: tls_ciphers is {ciphers!r}, but there is no such cipher.") from None


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise TLSError(f"TLS cannot be used: tls_ca is {path}, but {words(error)}.") from None
    except OSError as error:
        raise TLSError(f"TLS cannot read {path}: {error.strerror}.") from None


def words(error: ssl.SSLError) -> str:
    """What OpenSSL says, for the end of a sentence."""
    known = {
        "KEY_VALUES_MISMATCH": "the key is not that of the certificate",
        "NO_START_LINE": "there is no PEM text in it",
        "NO_CERTIFICATE_OR_CRL_FOUND": "there is no certificate in it",
        "NO_SHARED_CIPHER": "no cipher is left that fits the certificate",
    }
    reason: str | None = getattr(error, "reason", None)  # the ssl module's own errors have none
    if not reason:
        return "there is nothing in it that OpenSSL understands"
    return known.get(reason) or reason.replace("_", " ").lower()


def try_out(settings: TLSSettings, pair: KeyPair) -> datetime:
    """Shake hands in memory with a client that trusts just this certificate: what is wrong with it shows now, not when
    the first client comes.

    Returns:
        When the certificate ends.

    Raises:
        TLSError: certificate, key and ciphers do not go together, or it is none for servers.
    """
    server = make_context(settings._replace(verify=False), pair)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags = ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME)
    client.load_verify_locations(cafile=pair.certificate)
    try:
        for version in VERSIONS.values():
            client.maximum_version = version
            if version >= VERSIONS[settings.min_version]:
                known = _shake_hands(server, client)
    except ssl.SSLCertVerificationError as error:
        raise TLSError(f"TLS cannot use the certificate {pair.certificate}: {error.verify_message}.") from None
    except ssl.SSLError as error:
        raise TLSError(f"TLS cannot use the certificate {pair.certificate}: {words(error)}.") from None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(known), UTC)


def _shake_hands(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> str:
    """A handshake without a socket; returns until when the server's certificate is valid."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    pending = [client, server]
    for _ in range(EXCHANGES):
        for side in list(pending):
            try:
                side.do_handshake()
                pending.remove(side)
            except ssl.SSLWantReadError:
                continue
    known = client.getpeercert() or {}
    return str(known["notAfter"])
