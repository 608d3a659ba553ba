"""Tables for people at a terminal.

Rule: what may live here turns texts into lines that stand under each other and do nothing to the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator


def table(rows: list[tuple[str, ...]], left: int) -> Iterator[str]:
    """Rows as aligned lines.

    Args:
        rows: the headings first.
        left: so many columns hold texts, the others numbers.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def count_text(number: int, one: str, many: str) -> str:
    """A number and what it counts."""
    return f"{number:,} {one if number == 1 else many}"


def printable(text: str) -> str:
    """The text without what could play with the terminal: names of queues may hold any character."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
