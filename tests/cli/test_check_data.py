"""What ``amqpd check-data`` says, and the status with which it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from amqpd.catalog.directory import DataDirectory
from amqpd.cli import check_data
from amqpd.cli.check_text import size_text
from amqpd.cli.tables import printable, table
from amqpd.clock import ManualClock
from tests.check.builders import Made, flip, segments, stored, tree


def check(path: Path, *options: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(check_data.check_data, [str(path), *options], prog_name="amqpd check-data")


def test_a_sound_directory_is_told_as_a_table_and_a_sentence(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.store(made.queue("jobs"), 50, 10)
    made.queue("a queue that is empty", "quorum")
    made.close()
    result = check(tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == f"{tmp_path}: data format 1"
    assert lines[1].endswith(
        "schema 4, 1 virtual host, 0 exchanges, 2 queues, 0 bindings, 0 policies, 0 users, 0 permissions"
    )
    assert " ".join(lines[3].split()) == "VHOST QUEUE TYPE SEGMENTS ON DISK RECORDS MESSAGES BODIES ACKED"
    assert re.fullmatch(r"/      a queue that is empty  quorum  +0 +0 B +0 +0 +0 B +-", lines[4])
    assert re.fullmatch(r"/      jobs                   classic  +\d +\d\.\d kB +50 +40 +4\.0 kB +20 %", lines[5])
    assert lines[-1] == "Sound: 40 messages in 2 queues."
    assert len({len(line) for line in lines[3:7]}) == 1


def test_exchanges_that_hold_messages_are_told_beside_the_queues(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.store(made.queue("jobs"), 50, 10)
    made.store(made.delayed("later"), 7)
    made.close()
    lines = check(tmp_path).stdout.splitlines()
    assert re.fullmatch(r"/      later  x-delayed-message  +1 +\d\.\d kB +7 +7 +700 B +0 %", lines[5])
    assert lines[-1] == "Sound: 47 messages in 1 queue and 1 exchange."


def test_what_is_corrupt_is_told_with_its_place_and_its_queue_and_ends_with_status_1(tmp_path: Path) -> None:
    path = segments(stored(tmp_path))[1]
    flip(path, 300)
    before = tree(tmp_path)
    result = check(tmp_path)
    assert result.exit_code == 1
    name = re.escape(path.relative_to(tmp_path).as_posix())
    what = r"\(queue 'jobs' in vhost '/'\): a record is broken \(its checksum does not match\)"
    assert re.search(rf"^  {name}, octets \d+ to \d+ {what}$", result.stdout, re.MULTILINE)
    assert result.stdout.splitlines()[-1] == (
        "Corrupt: 1 place is damaged; 1 message that nobody acknowledged is lost;"
        " 39 messages in 1 queue can be read; --repair mends it."
    )
    assert tree(tmp_path) == before


def test_repair_mends_it_and_tells_what_it_did(tmp_path: Path) -> None:
    path = segments(stored(tmp_path))[1]
    flip(path, 300)
    result = check(tmp_path, "--repair")
    assert result.exit_code == 0
    assert f"{path.name}: " in result.stdout.partition("mended:")[2]
    (kept,) = (tmp_path / "lost-and-found").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ", kept.name)
    assert result.stdout.splitlines()[-1] == (
        "Sound now: 39 messages in 1 queue; 1 message that nobody acknowledged is lost;"
        f" what was taken out is in {kept}."
    )
    assert check(tmp_path).stdout.splitlines()[-1] == "Sound: 39 messages in 1 queue."


def test_what_cannot_be_mended_is_said(tmp_path: Path) -> None:
    stored(tmp_path)
    catalog = tmp_path / "catalog.sqlite"
    catalog.write_bytes(b"\xff" * 4096)
    for options in ([], ["--repair"]):
        result = check(tmp_path, *options)
        assert result.exit_code == 1
        assert result.stdout.splitlines()[-1].endswith("; that cannot be mended, restore it from a backup.")
        assert catalog.read_bytes() == b"\xff" * 4096


def test_json_says_the_same_for_machines(tmp_path: Path) -> None:
    flip(segments(stored(tmp_path))[1], 300)
    result = check(tmp_path, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["sound"], told["messages"], told["lost"], len(told["corrupt"])) == (False, 39, 1, 1)
    assert told["corrupt"][0].keys() == {"path", "position", "length", "text"}
    (queue,) = told["queues"]
    assert (queue["vhost"], queue["name"], queue["type"], queue["live"]) == ("/", "jobs", "classic", 39)
    assert json.loads(check(tmp_path, "--json", "--repair").stdout)["sound"]


@pytest.mark.parametrize("option", [[], ["--repair"]])
def test_a_directory_that_cannot_be_checked_is_one_sentence_and_status_2(tmp_path: Path, option: list[str]) -> None:
    """Neither does it become a data directory by being looked at."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    (tmp_path / "file").touch()
    for name in ("missing", "empty", "other", "file"):
        result = check(tmp_path / name, *option)
        assert (result.exit_code, result.stdout) == (2, "")
        assert re.fullmatch(r"amqpd: .+\.\n", result.stderr)
    assert sorted(tree(tmp_path)) == ["file", "other/thesis.txt"]


@pytest.mark.parametrize("option", [[], ["--repair"]])
def test_a_directory_that_a_broker_uses_is_refused(tmp_path: Path, option: list[str]) -> None:
    stored(tmp_path)
    held = DataDirectory.open(tmp_path)
    result = check(tmp_path, *option)
    held.close()
    assert result.exit_code == 2
    assert "is in use by another amqpd" in result.stderr


def test_repair_without_a_catalog_is_refused(tmp_path: Path) -> None:
    stored(tmp_path)
    (tmp_path / "catalog.sqlite").unlink()
    assert check(tmp_path).exit_code == 1
    result = check(tmp_path, "--repair")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "catalog.sqlite is missing" in result.stderr


def test_the_bar_appears_on_a_terminal_after_a_second_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for terminal in (False, True):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        clock = ManualClock()
        with check_data.progress_bar(clock) as bar:
            bar.total = 100
            bar.advance(10)
            clock.advance(0.9)
            bar.advance(10)
            assert capsys.readouterr().err == ""
            clock.advance(0.2)
            bar.advance(30)
        assert ("checking" in capsys.readouterr().err) is terminal


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (999_960, "1.0 MB"), (10**16, "10000.0 TB")],
)
def test_sizes_are_readable(octets: int, text: str) -> None:
    assert size_text(octets) == text


def test_a_name_cannot_play_with_the_terminal() -> None:
    assert printable("a\x1b[31m\nb \u00e9") == "a\\x1b[31m\\nb \u00e9"


def test_columns_are_aligned() -> None:
    assert list(table([("a", "b", "c", "1"), ("aa", "b", "c", "22")], 3)) == ["a   b  c   1", "aa  b  c  22"]
