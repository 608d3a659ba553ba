"""Configuration: one frozen Config, and how command line, environment and a TOML file become one.

Every option is declared once, as a field of Config annotated with its Setting: command line, environment, file and help
text follow from that. Of the sources of a value the first that has one wins: command line, environment (``AMQPD_PORT``
for ``port``), file, default.

Rule: what may live here is reading and checking values. Nothing here acts on them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, get_type_hints

from amqpd.kinds import (
    NO_LIMIT,
    Choice,
    File,
    Flag,
    HostCertificates,
    Hosts,
    Kind,
    Limit,
    Origins,
    Pattern,
    Seconds,
    Secret,
    Size,
    Watermark,
    Whole,
    Words,
)

SECTIONS = ("Listeners", "TLS", "Storage", "Accounts", "Limits", "Logging and start")


class ConfigError(Exception):
    """Bad configuration. Its text is one sentence that names source, key and value; the command ends with status 2."""


@dataclass(frozen=True)
class Setting:
    """What is known of an option beside its name, type and default.

    Args:
        section: where help and documentation show it, one of SECTIONS.
        kind: reads and checks its value.
        help: one sentence.
        shown: the default as help shows it, where the value itself would not say much.
    """

    section: str
    kind: Kind
    help: str
    shown: str | None = None


UNLIMITED = ", or 0 for no limit"
PORT = Whole(0, 65535, metavar="PORT")
SYNC_HELP = "What a confirm waits for. With fsync it survives power loss, with os a killed amqpd, with none neither."


def user_data_dir() -> Path:
    """The default of data_dir for a Config that load() did not make."""
    return default_data_dir(os.environ, sys.platform)


@dataclass(frozen=True, kw_only=True)
class Config:
    """How one amqpd is to run. Made by load(), or directly in tests: ``Config(port=0, memory=True)``."""

    host: Annotated[
        tuple[str, ...], Setting("Listeners", Hosts(), "Address to listen on; may be given several times.")
    ] = ("127.0.0.1", "::1")
    port: Annotated[int, Setting("Listeners", PORT, "AMQP port; 0 takes any free one.")] = 5672
    management_port: Annotated[int, Setting("Listeners", PORT, "Port of the HTTP API; 0 takes any free one.")] = 15672
    management_host: Annotated[
        tuple[str, ...],
        Setting("Listeners", Hosts(), "Address of the HTTP API; may be given several times.", "the same as --host"),
    ] = ()
    management_origins: Annotated[
        tuple[str, ...],
        Setting("Listeners", Origins(), "Origin of web pages that may use the HTTP API; repeatable.", "none"),
    ] = ()
    metrics_port: Annotated[int, Setting("Listeners", PORT, "Port of the Prometheus metrics.")] = 15692
    stream_port: Annotated[int, Setting("Listeners", PORT, "Port of the stream protocol.")] = 5552
    no_management: Annotated[bool, Setting("Listeners", Flag(), "Start without HTTP API and metrics.")] = False

    tls_certificate: Annotated[
        Path | None, Setting("TLS", File(), "Certificate chain (PEM); with it amqpd listens for TLS.", "no TLS")
    ] = None
    tls_key: Annotated[
        Path | None, Setting("TLS", File(), "Its private key (PEM).", "the key in the certificate's file")
    ] = None
    tls_key_password: Annotated[
        str | None, Setting("TLS", Secret(), "Password of the key; better given in the environment.", "none")
    ] = field(default=None, repr=False)
    tls_port: Annotated[int, Setting("TLS", PORT, "AMQP port for TLS; 0 takes any free one.")] = 5671
    management_tls_port: Annotated[int, Setting("TLS", PORT, "Port of the HTTP API for TLS; 0 takes any free one.")] = (
        15671
    )
    no_plain: Annotated[bool, Setting("TLS", Flag(), "Do not listen without TLS.")] = False
    tls_ca: Annotated[
        Path | None, Setting("TLS", File(), "Authorities (PEM) whose certificates clients may show.", "none")
    ] = None
    tls_verify: Annotated[
        Literal["none", "peer"],
        Setting("TLS", Choice("none", "peer"), "With peer, clients are asked for a certificate."),
    ] = "none"
    tls_fail_if_no_peer_cert: Annotated[
        bool, Setting("TLS", Flag(), "Refuse clients that have no certificate (with --tls-verify peer).")
    ] = False
    tls_min_version: Annotated[Literal["1.2", "1.3"], Setting("TLS", Choice("1.2", "1.3"), "Oldest TLS version.")] = (
        "1.2"
    )
    tls_ciphers: Annotated[
        str | None, Setting("TLS", Kind(), "Cipher suites of TLS 1.2, in OpenSSL's words.", "Python's choice")
    ] = None
    tls_sni: Annotated[
        tuple[tuple[str, Path, Path | None], ...],
        Setting("TLS", HostCertificates(), "Certificate for one host name; may be given several times.", "none"),
    ] = ()

    data_dir: Annotated[
        Path, Setting("Storage", File(), "Directory that keeps what must survive.", "the user's state directory")
    ] = field(default_factory=user_data_dir)
    memory: Annotated[bool, Setting("Storage", Flag(), "Keep nothing: everything ends with the process.")] = False
    sync: Annotated[Literal["fsync", "os", "none"], Setting("Storage", Choice("fsync", "os", "none"), SYNC_HELP)] = (
        "fsync"
    )

    disk_free_limit: Annotated[
        int,
        Setting("Storage", Size(2**63 - 1), "Publishers are blocked while the data directory's disk has less left."),
    ] = 50_000_000

    default_user: Annotated[
        str, Setting("Accounts", Kind(), "The first user. This and what follows counts until a data directory has one.")
    ] = "guest"
    default_pass: Annotated[str, Setting("Accounts", Secret(), "Its password.")] = field(default="guest", repr=False)
    default_user_tags: Annotated[
        tuple[str, ...], Setting("Accounts", Words(metavar="TAG"), "Its tags; may be given several times.")
    ] = ("administrator",)
    default_vhost: Annotated[
        str, Setting("Accounts", Kind(), "The first virtual host, and that in which events are published.")
    ] = "/"
    default_configure: Annotated[
        str, Setting("Accounts", Pattern(), "What the first user may declare and delete there.")
    ] = ".*"
    default_write: Annotated[str, Setting("Accounts", Pattern(), "What it may publish and bind to.")] = ".*"
    default_read: Annotated[str, Setting("Accounts", Pattern(), "What it may consume and bind from.")] = ".*"
    loopback_users: Annotated[
        tuple[str, ...],
        Setting(
            "Accounts",
            Words(metavar="USER"),
            f'User who may log in from this machine only; may be given several times; "{NO_LIMIT}" for nobody.',
        ),
    ] = ("guest",)
    auth_mechanisms: Annotated[
        tuple[str, ...],
        Setting(
            "Accounts",
            Words("PLAIN", "AMQPLAIN", "EXTERNAL", "ANONYMOUS", metavar="NAME"),
            "SASL mechanism that clients may use; may be given several times.",
        ),
    ] = ("PLAIN", "AMQPLAIN")
    anonymous_login_user: Annotated[str, Setting("Accounts", Kind(), "The user that ANONYMOUS logs in as.")] = "guest"
    ssl_cert_login_from: Annotated[
        Literal["distinguished_name", "common_name"],
        Setting(
            "Accounts",
            Choice("distinguished_name", "common_name"),
            "What of a client's certificate is the user that EXTERNAL logs in as.",
        ),
    ] = "distinguished_name"
    password_min_length: Annotated[
        int, Setting("Accounts", Whole(0, 1024, metavar="BYTES"), "Least length of passwords that are set from now on.")
    ] = 0
    password_pattern: Annotated[
        str, Setting("Accounts", Pattern(), "Searched in passwords that are set from now on; empty allows all.", "none")
    ] = ""

    channel_max: Annotated[
        int, Setting("Limits", Whole(1, 65535, zero=UNLIMITED), "Channels per connection; 0 sets no limit.")
    ] = 2047
    frame_max: Annotated[
        int,
        Setting(
            "Limits",
            Whole(4096, 2**31 - 1, zero=UNLIMITED, metavar="BYTES"),
            "Largest frame offered to clients; 0 sets no limit.",
        ),
    ] = 131_072
    heartbeat: Annotated[
        int,
        Setting(
            "Limits", Whole(0, 65535, metavar="SECONDS"), "Heartbeat interval suggested to clients; 0 suggests none."
        ),
    ] = 60
    handshake_timeout: Annotated[
        float, Setting("Limits", Seconds(), "Time a client has from connecting until its connection is open.")
    ] = 10.0
    handshake_max: Annotated[
        int, Setting("Limits", Whole(1, 1_000_000), "Connections that are not open yet; the oldest make room.")
    ] = 4096
    connection_max: Annotated[
        int | None, Setting("Limits", Limit(0, 2**31 - 1), f'Open connections, or "{NO_LIMIT}".', NO_LIMIT)
    ] = None
    channel_max_per_node: Annotated[
        int | None,
        Setting("Limits", Limit(0, 2**31 - 1), f'Channels of all connections, or "{NO_LIMIT}".', NO_LIMIT),
    ] = None
    max_message_size: Annotated[int, Setting("Limits", Size(536_870_912), "Largest message body.")] = 16_777_216
    memory_high_watermark: Annotated[
        float,
        Setting("Limits", Watermark(), "Publishers are blocked while amqpd uses more: part of the memory, or bytes."),
    ] = 0.6
    consumer_max_per_channel: Annotated[
        int | None, Setting("Limits", Limit(1, 2**31 - 1), f'Consumers per channel, or "{NO_LIMIT}".', NO_LIMIT)
    ] = None

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Setting("Logging and start", Choice("debug", "info", "warning", "error"), "The least important events to log."),
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"],
        Setting("Logging and start", Choice("text", "json"), "Lines for people, or one JSON object a line."),
    ] = "text"
    definitions: Annotated[
        Path | None,
        Setting(
            "Logging and start",
            File(),
            "Definitions to import at the start: a JSON file, or a directory of them.",
            "none are imported",
        ),
    ] = None
    definitions_skip_if_unchanged: Annotated[
        bool, Setting("Logging and start", Flag(), "Do not import definitions that were imported already.")
    ] = False
    ready_file: Annotated[
        Path | None,
        Setting("Logging and start", File(), "Written when ready: JSON with pid, ports and urls.", "not written"),
    ] = None

    @property
    def management_hosts(self) -> tuple[str, ...]:
        """Where the HTTP API listens."""
        return self.management_host or self.host

    def memory_limit(self, total: int) -> int:
        """The bytes at which publishers are blocked.

        Args:
            total: bytes of memory that the machine, or the process's share of it, has.
        """
        mark = self.memory_high_watermark
        return int(mark * total) if mark <= 1 else int(mark)


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file that was read, not yet parsed."""

    path: str
    text: str


SETTINGS: Final[Mapping[str, Setting]] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Config, include_extras=True).items()
}


def load(options: Mapping[str, object], environ: Mapping[str, str], file: ConfigFile | None = None) -> Config:
    """Put a Config together from its sources. Reads no file and no global.

    Args:
        options: what the command line gave, by field name.
        environ: the environment. An empty variable counts as not set.
        file: the configuration file, if there is one.

    Raises:
        ConfigError: a value that does not fit its option, an unknown key, or a file that is not TOML.
    """
    given: dict[str, object] = {}
    if file is not None:
        for name, value in parse_file(file).items():
            given[name] = checked(name, value, f"{name} in {file.path}")
    for name in SETTINGS:
        variable = f"AMQPD_{name.upper()}"
        if environ.get(variable):
            given[name] = checked(name, environ[variable], f"{variable} in the environment")
    for name, value in options.items():
        given[name] = checked(name, value, option_name(name))
    given.setdefault("data_dir", default_data_dir(environ, sys.platform))
    return Config(**given)  # type: ignore[arg-type] # every value went through the kind of its field


def option_name(name: str) -> str:
    """The command line's spelling of a field's name."""
    return "--" + name.replace("_", "-")


def checked(name: str, value: object, source: str) -> object:
    """The value as the option's kind reads it.

    Raises:
        ConfigError: the kind refuses it.
    """
    kind = SETTINGS[name].kind
    try:
        return kind.read(value)
    except ValueError as error:
        if isinstance(kind, Secret):
            raise ConfigError(f"{source} must be {error}.") from None
        raise ConfigError(f"{source} is {shown(value)}, but must be {error}.") from None


def shown(value: object) -> str:
    """A value in an error: as TOML writes it where that is easy, and not longer than a line."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def parse_file(file: ConfigFile) -> dict[str, object]:
    """The keys and values of a configuration file, not yet checked.

    Raises:
        ConfigError: not TOML, or with a key that is no option.
    """
    import tomllib  # only those who have a file wait for it

    try:
        table: dict[str, object] = tomllib.loads(file.text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file.path} is not valid TOML: {error}.") from None
    for key in table:
        if key not in SETTINGS:  # the value is not repeated: it may be a password whose key is misspelt
            raise ConfigError(f"{key} in {file.path} is not an option{did_you_mean(key)}.")
    return table


def did_you_mean(key: str) -> str:
    """The end of a sentence about an unknown key: the option it looks like, if any."""
    import difflib  # needed once, by whoever has made a mistake

    close = difflib.get_close_matches(key.lower().replace("-", "_"), SETTINGS, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def find_file(path: str | None, environ: Mapping[str, str], places: Iterable[Path]) -> ConfigFile | None:
    """Read the configuration file.

    Args:
        path: what --config says; AMQPD_CONFIG in the environment stands in for it.
        environ: the environment.
        places: where a file is looked for when neither names one; the first that is there is taken.

    Raises:
        ConfigError: the file that was named cannot be read.
    """
    named = [("--config", path), ("AMQPD_CONFIG in the environment", environ.get("AMQPD_CONFIG"))]
    for source, name in named:
        if name:
            return read_file(Path(name).expanduser(), source)
    found = next((place for place in places if place.is_file()), None)
    return read_file(found, "the default place") if found else None


def read_file(path: Path, source: str) -> ConfigFile:
    """Read one configuration file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return ConfigFile(str(path), path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{source} is {path}, which cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{source} is {path}, which is not UTF-8 text.") from None


def default_data_dir(environ: Mapping[str, str], platform: str) -> Path:
    """Where the platform's programs keep a user's state."""
    if platform == "win32":
        return based(environ.get("LOCALAPPDATA"), "~/AppData/Local") / "amqpd"
    if platform == "darwin":
        return Path("~/Library/Application Support/amqpd").expanduser()
    return based(environ.get("XDG_STATE_HOME"), "~/.local/state") / "amqpd"


def default_files(environ: Mapping[str, str], platform: str) -> list[Path]:
    """Where a configuration file is looked for, the user's before the machine's."""
    if platform == "win32":
        return [based(environ.get("APPDATA"), "~/AppData/Roaming") / "amqpd" / "amqpd.toml"]
    if platform == "darwin":
        return [Path("~/Library/Application Support/amqpd/amqpd.toml").expanduser(), Path("/etc/amqpd/amqpd.toml")]
    return [based(environ.get("XDG_CONFIG_HOME"), "~/.config") / "amqpd/amqpd.toml", Path("/etc/amqpd/amqpd.toml")]


def based(value: str | None, default: str) -> Path:
    """The directory that a variable names, or the default. The XDG rules say to ignore a relative path."""
    return Path(value) if value and os.path.isabs(value) else Path(os.path.expanduser(default))
