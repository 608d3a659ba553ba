"""When certificates are read again, and what the log says of it."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from amqpd.net.tls import Certificates
from amqpd.net.tls_watch import LOOK_EVERY, CertificateWatch
from tests.builders import World
from tests.net.certificates import Authority


class Watched:
    """Certificates that are watched on a manual clock."""

    def __init__(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.world = World()
        self.authority = Authority(folder)
        self.caplog = caplog
        self.caplog.set_level(logging.INFO)
        self.certificates: Certificates = self.authority.certificates()
        self.watch = CertificateWatch(self.certificates, self.world.context, logging.getLogger("tests.tls"))
        self.path = folder / "server.pem"

    def said(self) -> list[str]:
        """The events since the last call."""
        found = [record.getMessage() for record in self.caplog.records]
        self.caplog.clear()
        return found

    def replace(self, text: str | None = None) -> None:
        """A new certificate, or this text, and a time of its own for the file."""
        if text is None:
            self.authority.issue("server", "localhost")
        else:
            self.path.write_text(text)
        os.utime(self.path, (self.world.clock.time(),) * 2)

    def look(self) -> None:
        """Let the time of the next look come."""
        self.world.clock.advance(LOOK_EVERY)
        self.world.timers.run_due()


@pytest.fixture
def watched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Watched:
    return Watched(tmp_path, caplog)


def test_files_that_are_as_they_were_are_not_read_again(watched: Watched) -> None:
    assert [record.getMessage() for record in watched.caplog.get_records("setup")] == ["tls.loaded"]
    watched.look()
    assert watched.said() == []


def test_files_that_have_changed_are_read_again(watched: Watched) -> None:
    watched.said()
    watched.replace()
    watched.look()
    watched.look()
    assert watched.said() == ["tls.reloaded"]


def test_bad_files_are_told_of_once_and_good_ones_again_taken(watched: Watched) -> None:
    watched.said()
    watched.replace("nonsense")
    watched.look()
    (record,) = [record for record in watched.caplog.records if record.levelno == logging.ERROR]
    reason = record.__dict__["fields"]["reason"]
    assert reason.startswith(f"TLS cannot use the certificate {watched.path}")
    assert reason.endswith("The certificates from before stay in use.")
    watched.look()
    assert watched.said() == ["tls.unchanged"]
    watched.replace()
    watched.look()
    assert watched.said() == ["tls.reloaded"]


def test_a_file_that_is_gone_for_a_moment_is_no_end(watched: Watched) -> None:
    watched.said()
    watched.path.unlink()
    watched.look()
    watched.replace()
    watched.look()
    assert watched.said() == ["tls.unchanged", "tls.reloaded"]


def test_sighup_reads_even_what_has_not_changed(watched: Watched) -> None:
    watched.said()
    watched.watch.reload()
    assert watched.said() == ["tls.reloaded"]


def test_nothing_is_looked_at_after_stop(watched: Watched) -> None:
    watched.said()
    watched.watch.stop()
    watched.replace()
    watched.look()
    assert watched.said() == []


def test_a_certificate_that_ends_soon_is_told_of_once(watched: Watched) -> None:
    watched.said()
    now = datetime.fromtimestamp(watched.world.clock.time(), UTC)
    watched.authority.issue("server", "localhost", until=now + timedelta(days=13))
    os.utime(watched.path, (watched.world.clock.time(),) * 2)
    watched.look()
    watched.look()
    assert watched.said() == ["tls.reloaded", "tls.expiring"]


def test_a_certificate_that_has_ended_is_used_and_told_of(watched: Watched) -> None:
    """A broker that refuses to start because of it would make things worse."""
    watched.said()
    watched.authority.issue("server", "localhost", until=datetime(2020, 1, 1, tzinfo=UTC))
    os.utime(watched.path, (watched.world.clock.time(),) * 2)
    watched.look()
    assert watched.said() == ["tls.reloaded", "tls.expired"]
