"""Definitions that are loaded when the broker starts, before anybody can connect.

Rule: what may live here happens once, between recovery and listening. Everything of it is kept, or nothing.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final, TextIO

from amqpd.auth.users import UserStore
from amqpd.broker.broker import Broker
from amqpd.broker.events import INTERNAL_USER
from amqpd.clock import Clock
from amqpd.definitions.files import DefinitionsFile, digest_of, read_files, refused
from amqpd.definitions.importing import Import
from amqpd.definitions.reading import DefinitionsError
from amqpd.definitions.rows import INTERNAL_PREFIX
from amqpd.logs import INFO, event
from amqpd.progress import ImportReport

DIGEST: Final = INTERNAL_PREFIX + "definitions_digest"
"""The global parameter that remembers which files were imported."""


class Loading:
    """The files that a broker loads at its start.

    Args:
        path: a file, or a directory with several.
        clock: tells when it takes long.
        logger: for what is imported and what is left out.
        stream: where the log goes; a bar is drawn if it is a terminal.
        skip_if_unchanged: files that are those of the last start are not imported again.

    Raises:
        FileError: a file cannot be read.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        logger: logging.Logger,
        stream: TextIO,
        skip_if_unchanged: bool = False,
    ) -> None:
        self._files = read_files(path)
        self._skip = skip_if_unchanged
        self._clock = clock
        self._logger = logger
        self._stream = stream

    @property
    def brings_users(self) -> bool:
        """The files say which users there are, so that a new broker needs none of its own."""
        return any(file.definitions.rows["users"] for file in self._files)

    def tell_of_first_user(self, name: str) -> None:
        """Log whether a new broker has its own user: who cannot log in afterwards should find out why."""
        text = "not created, for the definitions bring users" if self.brings_users else "created"
        event(self._logger, INFO, "definitions.first_user", user=name, state=text)

    def run(self, broker: Broker, users: UserStore) -> None:
        """Import all files, one after the other.

        Raises:
            FileError: one cannot be imported.
        """
        digest = digest_of(self._files)
        if self._skip and broker.globals.find(DIGEST) == digest:
            event(self._logger, INFO, "definitions.unchanged", files=len(self._files))
            return
        for file in self._files:
            self._import(broker, users, file)
        if self._skip:
            broker.globals.set(DIGEST, digest, INTERNAL_USER)

    def _import(self, broker: Broker, users: UserStore, file: DefinitionsFile) -> None:
        report = ImportReport(file.path, self._clock, self._logger, self._stream)
        try:
            report.run(Import(broker, users, file.definitions, warn=report.skipped))
        except DefinitionsError as error:
            raise refused(file.path, error) from None
