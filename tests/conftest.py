"""What holds for all tests: examples of hypothesis are not timed, and the form under test is the one meant."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from amqpd.cli.build import is_compiled

# Builders that tests share are imported as tests.builders. Last on the path: in front, the checkout would hide the
# installed amqpd from the tests of the compiled form.
sys.path.append(str(Path(__file__).resolve().parent.parent))

# An example that takes long on a busy machine is no bug; CI tries the same examples in every run.
settings.register_profile("amqpd", deadline=None, print_blob=True, derandomize=bool(os.environ.get("CI")))
settings.load_profile("amqpd")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--form", choices=["compiled", "interpreted"], help="fail unless this form of amqpd is tested")


def pytest_report_header() -> str:
    return f"amqpd: {form()}"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Without this, a path set wrong would test the interpreted form twice and never the compiled one."""
    wanted = session.config.getoption("--form")
    if wanted and wanted != form():
        pytest.exit(f"these tests were to meet the {wanted} amqpd, but import the {form()} one", returncode=3)


@pytest.fixture
def loggers_as_before() -> Iterator[None]:
    """For tests that configure logging: afterwards nothing writes to a stream of theirs any more."""
    loggers = [logging.getLogger(name) for name in ("amqpd", "asyncio")]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    yield
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def form() -> str:
    return "compiled" if is_compiled() else "interpreted"
