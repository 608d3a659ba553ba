"""New certificates are found by themselves: the files' times are looked at, and SIGHUP looks at once.

Rule: what may live here decides when certificates are read again, and tells the log what became of it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from amqpd.broker.context import Context
from amqpd.logs import ERROR, INFO, WARNING, event
from amqpd.net.tls import Certificates, TLSError

LOOK_EVERY: Final = 10.0
# So many seconds before a certificate ends, the log says so.
SOON: Final = 14 * 86_400.0

Stamp = tuple[int, int, int]


class CertificateWatch:
    """Reads certificates again when their files have changed.

    Args:
        certificates: what is read again.
        context: its timers look, its clock knows what has expired.
        logger: is told.
    """

    def __init__(self, certificates: Certificates, context: Context, logger: logging.Logger) -> None:
        self._certificates = certificates
        self._context = context
        self._logger = logger
        self._stamps = self._look_at_files()
        self._warned: set[Path] = set()
        self._tell("tls.loaded")
        self._timer = context.timers.call_later(LOOK_EVERY, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def reload(self) -> None:
        """Read the files again, changed or not. Bad ones change nothing."""
        self._stamps = self._look_at_files()
        try:
            self._certificates.reload()
        except TLSError as error:
            event(self._logger, ERROR, "tls.unchanged", reason=f"{error} The certificates from before stay in use.")
        else:
            self._warned.clear()
            self._tell("tls.reloaded")

    def _look(self) -> None:
        self._timer = self._context.timers.call_later(LOOK_EVERY, self._look)
        if self._look_at_files() != self._stamps:
            self.reload()
        self._warn()

    def _look_at_files(self) -> list[Stamp | None]:
        return [stamp(path) for path in self._certificates.settings.files()]

    def _tell(self, name: str) -> None:
        for shown in self._certificates.shown:
            until = shown.not_after.isoformat()
            event(self._logger, INFO, name, certificate=str(shown.path), host=shown.host or None, valid_until=until)
        self._warn()

    def _warn(self) -> None:
        """Once for each certificate that ends soon, or has ended."""
        now = self._context.now() / 1000
        for shown in self._certificates.shown:
            left = shown.not_after.timestamp() - now
            if left < SOON and shown.path not in self._warned:
                self._warned.add(shown.path)
                name = "tls.expired" if left < 0 else "tls.expiring"
                until = shown.not_after.isoformat()
                event(self._logger, WARNING, name, certificate=str(shown.path), valid_until=until)


def stamp(path: Path) -> Stamp | None:
    """What changes when a file does; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
