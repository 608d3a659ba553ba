"""Where a value comes from, and what is said when it does not fit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from amqpd.config import (
    SECTIONS,
    SETTINGS,
    Config,
    ConfigError,
    ConfigFile,
    default_data_dir,
    default_files,
    find_file,
    load,
    option_name,
)

HOME = {"XDG_STATE_HOME": "/home/u/state"}


def from_file(text: str) -> Config:
    return load({}, HOME, ConfigFile("amqpd.toml", text))


def sentence(options: dict[str, object], environ: dict[str, str], text: str | None = None) -> str:
    """What is said about this configuration."""
    with pytest.raises(ConfigError) as caught:
        load(options, environ, None if text is None else ConfigFile("/etc/amqpd/amqpd.toml", text))
    return str(caught.value)


def test_without_any_source_the_defaults_are_those_that_the_design_promises() -> None:
    config = load({}, HOME)
    assert config == Config(data_dir=Path("/home/u/state/amqpd"))
    assert (config.host, config.port) == (("127.0.0.1", "::1"), 5672)
    assert (config.management_port, config.metrics_port, config.stream_port) == (15672, 15692, 5552)
    assert (config.no_management, config.memory, config.sync) == (False, False, "fsync")
    assert (config.log_level, config.log_format, config.ready_file) == ("info", "text", None)


def test_without_any_source_the_limits_are_those_of_rabbitmq() -> None:
    config = load({}, HOME)
    assert (config.channel_max, config.frame_max, config.heartbeat) == (2047, 131_072, 60)
    assert (config.handshake_timeout, config.max_message_size) == (10.0, 16 * 2**20)
    assert (config.memory_high_watermark, config.consumer_max_per_channel) == (0.6, None)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file() -> None:
    file = ConfigFile("amqpd.toml", "port = 1\nheartbeat = 1\nchannel_max = 1")
    environ = {"AMQPD_PORT": "2", "AMQPD_HEARTBEAT": "2"}
    config = load({"port": "3"}, environ, file)
    assert (config.port, config.heartbeat, config.channel_max, config.frame_max) == (3, 2, 1, 131_072)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load({}, HOME | {"AMQPD_PORT": ""}).port == 5672


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("host", "0.0.0.0, ::", ("0.0.0.0", "::")),
        ("host", "::1,::1", ("::1",)),
        ("management_origins", "http://localhost:*, https://a.b", ("http://localhost:*", "https://a.b")),
        ("management_origins", "*", ("*",)),
        ("port", "0", 0),
        ("port", "65535", 65535),
        ("memory", "yes", True),
        ("memory", "0", False),
        ("sync", "OS", "os"),
        ("data_dir", "/var/lib/amqpd", Path("/var/lib/amqpd")),
        ("frame_max", "0", 0),
        ("handshake_timeout", "2.5", 2.5),
        ("max_message_size", "64MiB", 64 * 2**20),
        ("memory_high_watermark", "0.4", 0.4),
        ("memory_high_watermark", "512MB", 512e6),
        ("consumer_max_per_channel", "10", 10),
        ("consumer_max_per_channel", "none", None),
        ("default_user_tags", "a, b,a", ("a", "b")),
        ("loopback_users", "none", ()),
        ("auth_mechanisms", "PLAIN,ANONYMOUS", ("PLAIN", "ANONYMOUS")),
        ("ssl_cert_login_from", "common_name", "common_name"),
        ("default_write", "^a", "^a"),
        ("log_format", "json", "json"),
        ("ready_file", "/run/ready", Path("/run/ready")),
    ],
)
def test_a_text_means_the_same_on_the_command_line_and_in_the_environment(name: str, text: str, value: object) -> None:
    assert getattr(load({name: text}, HOME), name) == value
    assert getattr(load({}, HOME | {f"AMQPD_{name.upper()}": text}), name) == value


def test_a_file_uses_the_types_of_toml() -> None:
    config = from_file('host = ["0.0.0.0", "::"]\nport = 5673\nmemory = true\nhandshake_timeout = 5\nsync = "none"')
    assert (config.host, config.port, config.memory) == (("0.0.0.0", "::"), 5673, True)
    assert (config.handshake_timeout, config.sync) == (5.0, "none")


def test_a_path_may_start_at_the_home_directory() -> None:
    assert from_file('data_dir = "~/amqpd"').data_dir == Path("~/amqpd").expanduser()


def test_a_repeated_host_option_gives_all_its_addresses() -> None:
    assert load({"host": ("10.0.0.1", "::1")}, HOME).host == ("10.0.0.1", "::1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auth_mechanisms", "plain"),
        ("auth_mechanisms", "PLAIN,"),
        ("loopback_users", ""),
        ("loopback_users", 5),
        ("default_read", "("),
        ("default_read", 5),
        ("default_user", ""),
        ("port", "-1"),
        ("port", "65536"),
        ("port", "5672x"),
        ("port", "1_000"),
        ("port", ""),
        ("port", "9" * 5000),
        ("host", ""),
        ("host", "two words"),
        ("management_origins", "localhost"),
        ("management_origins", "http://a/path"),
        ("host", ()),
        ("memory", "maybe"),
        ("sync", "always"),
        ("data_dir", ""),
        ("data_dir", "a\0b"),
        ("channel_max", "65536"),
        ("frame_max", "4095"),
        ("heartbeat", "65536"),
        ("handshake_timeout", "0"),
        ("handshake_timeout", "nan"),
        ("handshake_timeout", "inf"),
        ("max_message_size", "0"),
        ("max_message_size", "513MiB"),
        ("max_message_size", "1 mile"),
        ("max_message_size", "1iB"),
        ("memory_high_watermark", "1.5"),
        ("memory_high_watermark", "-1"),
        ("consumer_max_per_channel", "0"),
        ("log_level", "loud"),
        ("log_format", "xml"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_the_name_of_its_option(name: str, value: object) -> None:
    text = sentence({name: value}, HOME)
    assert text.startswith(f"{option_name(name)} is ")
    assert ", but must be " in text
    assert len(text) < 300


@pytest.mark.parametrize(
    "line",
    [
        "port = true",
        "port = 5672.0",
        'memory = "ja"',
        "memory = 1",
        "host = []",
        "host = [1]",
        "host = 1",
        "sync = 1",
        "data_dir = 1",
        "handshake_timeout = nan",
        "handshake_timeout = true",
        f"handshake_timeout = {'9' * 400}",
        f"memory_high_watermark = {'9' * 400}",
        "memory_high_watermark = 2.5",
        "consumer_max_per_channel = false",
    ],
)
def test_a_value_of_another_type_is_refused(line: str) -> None:
    assert sentence({}, HOME, line).startswith(f"{line.split()[0]} in /etc/amqpd/amqpd.toml is ")


def test_the_sentence_names_source_key_and_value() -> None:
    must = "but must be a whole number from 0 to 65535."
    assert sentence({"port": "x"}, HOME) == f"--port is 'x', {must}"
    assert sentence({}, {"AMQPD_PORT": "tcp://10.0.0.1"}) == (
        f"AMQPD_PORT in the environment is 'tcp://10.0.0.1', {must}"
    )
    assert sentence({}, HOME, "port = 70000") == f"port in /etc/amqpd/amqpd.toml is 70000, {must}"
    assert sentence({"frame_max": "1"}, HOME).endswith("from 4096 to 2147483647, or 0 for no limit.")


def test_an_unknown_key_is_refused_with_the_option_it_looks_like() -> None:
    assert sentence({}, HOME, "prot = 1") == ("prot in /etc/amqpd/amqpd.toml is not an option (did you mean port?).")
    assert sentence({}, HOME, "data-dir = 'x'").endswith("is not an option (did you mean data_dir?).")
    assert sentence({}, HOME, "[zzz]\nport = 1").endswith("zzz in /etc/amqpd/amqpd.toml is not an option.")


def test_a_file_that_is_not_toml_is_refused_with_the_place_of_the_mistake() -> None:
    assert sentence({}, HOME, "port = ") == (
        "/etc/amqpd/amqpd.toml is not valid TOML: Invalid value (at end of document)."
    )


def test_every_option_has_a_section_and_says_what_it_is_for() -> None:
    assert list(dict.fromkeys(setting.section for setting in SETTINGS.values())) == list(SECTIONS)
    assert [name for name, setting in SETTINGS.items() if not setting.help.endswith(".")] == []


def test_the_memory_limit_is_a_part_of_the_machine_or_a_number_of_bytes() -> None:
    assert Config(memory_high_watermark=0.5).memory_limit(1000) == 500
    assert Config(memory_high_watermark=4096.0).memory_limit(1000) == 4096
    assert Config(memory_high_watermark=0.0).memory_limit(1000) == 0


def test_a_config_made_without_load_keeps_its_data_in_the_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/home/v/state")
    assert Config().data_dir == default_data_dir(os.environ, "linux") == Path("/home/v/state/amqpd")


@pytest.mark.parametrize(
    ("environ", "platform", "path"),
    [
        ({}, "linux", "~/.local/state/amqpd"),
        ({"XDG_STATE_HOME": "relative"}, "linux", "~/.local/state/amqpd"),
        ({"XDG_STATE_HOME": "/s"}, "linux", "/s/amqpd"),
        ({}, "darwin", "~/Library/Application Support/amqpd"),
        ({}, "win32", "~/AppData/Local/amqpd"),
    ],
)
def test_the_data_directory_follows_the_platform(environ: dict[str, str], platform: str, path: str) -> None:
    assert default_data_dir(environ, platform) == Path(path).expanduser()


def test_the_file_that_is_named_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("port = 1")
    (tmp_path / "b.toml").write_text("port = 2")
    environ = {"AMQPD_CONFIG": str(tmp_path / "b.toml")}
    assert find_file(str(tmp_path / "a.toml"), environ, []) == ConfigFile(str(tmp_path / "a.toml"), "port = 1")
    assert find_file(None, environ, [tmp_path / "a.toml"]) == ConfigFile(str(tmp_path / "b.toml"), "port = 2")


def test_without_a_name_the_first_default_place_that_has_a_file_counts(tmp_path: Path) -> None:
    (tmp_path / "etc.toml").write_text("port = 1")
    places = [tmp_path / "none.toml", tmp_path / "etc.toml"]
    assert find_file(None, {}, places) == ConfigFile(str(tmp_path / "etc.toml"), "port = 1")
    assert find_file(None, {}, [tmp_path / "none.toml"]) is None


def test_a_named_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    with pytest.raises(ConfigError, match=f"^--config is {missing}, which cannot be read: No such file"):
        find_file(str(missing), {}, [])
    missing.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=f"^AMQPD_CONFIG in the environment is {missing}, which is not UTF-8"):
        find_file(None, {"AMQPD_CONFIG": str(missing)}, [])


def test_the_users_file_comes_before_the_machines() -> None:
    assert default_files({"XDG_CONFIG_HOME": "/c"}, "linux") == [
        Path("/c/amqpd/amqpd.toml"),
        Path("/etc/amqpd/amqpd.toml"),
    ]
    assert default_files({"APPDATA": "/a"}, "win32") == [Path("/a/amqpd/amqpd.toml")]
    assert default_files({}, "darwin")[0] == Path("~/Library/Application Support/amqpd/amqpd.toml").expanduser()


def test_the_documentation_lists_every_option_in_order() -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
    rows = [line.split("`")[1] for line in page.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert rows == list(SETTINGS)


def test_a_password_is_not_shown() -> None:
    assert "s3cret" not in repr(load({"default_pass": "s3cret", "tls_key_password": "s3cret"}, HOME))


@pytest.mark.parametrize(
    "text",
    [
        "default_pass = 918273",
        "tls_key_password = ['918273']",
        "default_pas = '918273'",
        "[tls]\nkey_password = '918273'",
        "default_pass = '918273",
    ],
)
def test_nor_is_one_in_what_is_said_about_a_bad_configuration(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_file(text)
    assert "918273" not in str(caught.value)
