"""The tutorial quotes its programs word for word and leaves none out; interop/tutorial runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
TEXT = (DOCS / "tutorial.md").read_text("utf-8")
PROGRAMS = sorted(DOCS.glob("tutorial/*/*.py"))
QUOTES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = set(re.findall(r"python (\w+\.py)", TEXT))


@pytest.mark.parametrize("quote", QUOTES, ids=lambda quote: quote.strip().partition("\n")[0])
def test_what_is_quoted_is_in_a_program(quote: str) -> None:
    assert any(quote in program.read_text("utf-8") for program in PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: str(program.relative_to(DOCS)))
def test_every_program_is_run_or_explained(program: Path) -> None:
    linked = f"]({program.relative_to(DOCS).as_posix()})" in TEXT
    assert linked or program.name in COMMANDS


def test_every_program_that_is_run_is_there() -> None:
    assert {program.name for program in PROGRAMS} >= COMMANDS
    assert len(QUOTES) >= 6  # or the pattern above is wrong
