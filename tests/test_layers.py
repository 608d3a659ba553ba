"""The rules that hold between files: imports point one way, async stays at the edge, one place reads the clock.

An import that only type checkers follow counts as well. One that is right all the same says why on its line:
``# layers: ...``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "amqpd"

# What stands in one row may not import each other; every row may import the rows above it.
ROWS = (
    ("",),  # amqpd/__init__.py: the version
    ("kinds", "errors", "clock", "turn", "logs"),
    ("config",),
    ("wire",),
    ("log", "catalog"),
    ("broker",),
    ("auth",),
    ("definitions",),
    ("protocol",),
    ("net",),
    ("management",),
    ("check", "opening", "progress"),
    ("loading",),
    ("server", "bench"),
    ("cli", "testing"),
    ("__main__",),
)
RANK = {unit: rank for rank, row in enumerate(ROWS) for unit in row}
EDGE = {"net", "management", "server", "cli"}
CLOCKS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}

FILES = sorted(PACKAGE.rglob("*.py"))


def unit_of(module: str) -> str:
    """The top-level unit of a module of amqpd: "wire" for amqpd.wire.table, "" for amqpd itself."""
    return module.partition(".")[2].partition(".")[0]


def module_of(path: Path) -> str:
    """The module's dotted name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, source: list[str]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import of amqpd, but for those marked on their line."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            # `from amqpd import server` names a module, `from amqpd.wire import table` too: the unit is the same.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        if "# layers:" not in source[getattr(node, "lineno", 1) - 1]:
            yield from ((node.lineno, name) for name in names if name.split(".")[0] == "amqpd")


def wrong_imports(module: str, text: str) -> list[str]:
    """The imports of a module that point the wrong way."""
    unit = unit_of(module)
    found = []
    for line, name in imported(ast.parse(text), text.splitlines() or [""]):
        target = unit_of(name)
        target = target if target in RANK else ""  # from amqpd import __version__
        if target != unit and RANK[target] >= RANK[unit]:
            found.append(f"{module}:{line} imports {name}")
    return found


def async_definitions(text: str) -> list[int]:
    """The lines with async code."""
    kinds = (ast.AsyncFunctionDef, ast.AsyncWith, ast.AsyncFor, ast.Await)
    return [node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]


def clock_reads(text: str) -> list[int]:
    """The lines that read the machine's clock, or import what does."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if node.attr in CLOCKS.get(owner, ()):
                found.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            found.extend(node.lineno for alias in node.names if alias.name in CLOCKS["time"])
    return found


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=named)
def test_imports_point_one_way(path: Path) -> None:
    assert wrong_imports(module_of(path), path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", [path for path in FILES if unit_of(module_of(path)) not in EDGE], ids=named)
def test_async_stays_at_the_edge(path: Path) -> None:
    assert async_definitions(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", [path for path in FILES if path.name != "clock.py"], ids=named)
def test_only_the_clock_reads_the_clock(path: Path) -> None:
    assert clock_reads(path.read_text("utf-8")) == []


def test_every_unit_has_its_row_and_every_folder_is_a_package() -> None:
    """A folder without __init__.py works in a checkout but is missing from an installed amqpd."""
    assert {unit_of(module_of(path)) for path in FILES} <= set(RANK)
    folders = {path.parent for path in FILES}
    assert [named(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("amqpd.wire.table", "from amqpd.broker.queues import base"),
        ("amqpd.wire.table", "import amqpd.net.amqp"),
        ("amqpd.wire.table", "from amqpd import config, server"),
        ("amqpd.errors", "from amqpd.clock import Clock"),
        ("amqpd.log.segment", "from amqpd.catalog import store"),
        ("amqpd.broker.vhost", "if TYPE_CHECKING:\n    from amqpd.protocol.channel import Channel"),
        ("amqpd.testing.broker", "from amqpd.cli import main"),
    ],
)
def test_an_import_the_wrong_way_is_found(module: str, text: str) -> None:
    assert len(wrong_imports(module, text)) == 1


def test_imports_downwards_within_a_unit_and_with_a_reason_are_fine() -> None:
    text = (
        "from amqpd import errors\nfrom amqpd.broker.binding import Binding\nfrom amqpd.net import x  # layers: why\n"
    )
    assert wrong_imports("amqpd.broker.vhost", text) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.time()",
        "from time import monotonic",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime\ndatetime.utcnow()",
    ],
)
def test_reading_the_clock_is_found(text: str) -> None:
    assert clock_reads(text) != []


def test_async_code_is_found() -> None:
    assert async_definitions("async def f():\n    await g()") == [1, 2]
