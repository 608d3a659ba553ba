#!/usr/bin/env python3
"""Draws what scaling.py has measured: a picture for each curve, as SVG, and as PNG to look at.

    python -m interop.bench.curves docs/pictures/scaling.json docs/pictures [--png FOLDER]

The same numbers give the same octets, so that a picture changes only when its numbers do.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

TITLES: Final = {
    "connections": "connections that publish in turn",
    "queues": "queues with a consumer each",
    "topic": "bindings of a topic exchange",
    "direct": "bindings of a direct exchange",
    "headers": "bindings of a headers exchange",
    "consumers": "consumers of one queue",
    "backlog": "messages waiting in the queue (0 stands at 1)",
}
COLOURS: Final = {"amqpd": "#1668a8", "rabbitmq": "#d9731a"}
LABELS: Final = {"amqpd": "amqpd", "rabbitmq": "RabbitMQ"}
STYLE: Final[Any] = {  # matplotlib's type of it lists every key
    "svg.hashsalt": "amqpd",
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
}

Points = list[dict[str, Any]]


def draw(key: str, brokers: dict[str, Points]) -> Figure:
    """One picture: cost on the left; age on arrival on the right, where that means something."""
    has_ages = any(point["p50_ms"] is not None for points in brokers.values() for point in points)
    figure = Figure(figsize=(7.6 if has_ages else 3.9, 2.9), layout="constrained", facecolor="white")
    places = figure.subplots(1, 2 if has_ages else 1, squeeze=False)[0]
    for name, points in brokers.items():
        sizes = [max(point["size"], 1) for point in points]
        colour = COLOURS[name]
        places[0].plot(sizes, [point["cpu_us"] for point in points], "o-", color=colour, ms=4, label=LABELS[name])
        if has_ages:
            for rank, line in (("p50", "o-"), ("p99", "s--")):
                ages = [point[f"{rank}_ms"] for point in points]
                places[1].plot(sizes, ages, line, color=colour, ms=4, label=f"{LABELS[name]} {rank}")
    for place, unit in zip(places, ("µs of the broker's CPU a message", "ms from due to arrival"), strict=False):
        place.set(xscale="log", yscale="log", xlabel=TITLES[key], ylabel=unit)
        place.legend(frameon=False, fontsize=8)
        place.set_ylim(bottom=least(place))
    return figure


def least(place: Any) -> float:
    """The lowest value of the axis: room for at least a decade, so that noise does not look like a slope."""
    low, high = place.get_ylim()
    return float(min(low, high / 100))


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", type=Path, help="what scaling.py wrote")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--png", type=Path, metavar="FOLDER", help="there as PNG too")
    options = parser.parse_args()
    found = json.loads(options.points.read_text())
    with mpl.rc_context(STYLE):
        for key in TITLES:
            if key in found:
                figure = draw(key, found[key])
                figure.savefig(options.folder / f"scaling-{key}.svg", metadata={"Date": None})
                if options.png:
                    figure.savefig(options.png / f"scaling-{key}.png", dpi=130)


if __name__ == "__main__":
    main()
