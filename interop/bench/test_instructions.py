"""No commit makes a message cost 5 % more work, unless it says so: see instructions.py."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from interop.bench import instructions
from interop.bench.instructions import Instructions, compare, judge, nearest


@pytest.mark.timeout(300)
def test_a_message_takes_no_more_instructions_than_was_accepted() -> None:
    command = shlex.split(os.environ.get("AMQPD_COMMAND", ""))
    beside = Path(command[0]).with_name("python") if command else Path()
    assert judge(str(beside) if beside.is_file() else sys.executable, accept=False) == []


def test_five_per_cent_more_is_too_much_and_four_are_not() -> None:
    assert compare("counts", {"a": 104.0, "b": 106.0}, {"a": 100.0, "b": 100.0}, instructions.LIMIT) == [
        "counts: b takes 6.0% more than was accepted"
    ]


def test_a_workload_without_an_accepted_number_is_a_complaint() -> None:
    assert compare("counts", {"new": 1.0}, {}, instructions.LIMIT) == ["counts: nothing was accepted for new"]


def test_another_toolchain_is_compared_with_the_nearest_one_scaled_by_the_calibration() -> None:
    accepted = {
        "CPython 3.11.2 cc 12.2.0": Instructions(1000.0, {"a": 50.0}),
        "CPython 3.13.1 cc 14.2.0": Instructions(900.0, {"a": 40.0}),
    }
    found = accepted[nearest(accepted, "CPython 3.13.5 cc 14.2.0")]
    assert found.scaled(1800.0) == {"a": 80.0}
