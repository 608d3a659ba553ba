#!/usr/bin/env python3
"""How much polling the HTTP API disturbs message traffic, and how long its answers take.

    python -m interop.bench.polling --port 5672 --management-port 15672 [--queues 10000] [--rounds 3] [--seconds 4]

The broker must run and be empty. Queues are declared first. Then messages of 16 octets, 10,000 a second or --rate, go
through a queue of their own while the API is polled in one way after the other, several rounds of all ways in turn; the
first way is not to poll. Figures are medians of the rounds: the latency of the messages, and the time from a request to
the last octet of its answer. Needs a C compiler, as compare.py.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from interop.bench.compare import build

LOGIN = {"authorization": "Basic " + base64.b64encode(b"guest:guest").decode()}
RUN_SECONDS = 120


@dataclass(frozen=True)
class Way:
    """One way to poll.

    Args:
        path: behind /api/; empty polls nothing.
        pause: seconds between an answer and the next request.
        headers: more of them.
    """

    title: str
    path: str = ""
    pause: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)


WAYS = (
    Way("nobody polls"),
    Way("a page of 100 queues, ten times a second", "queues?page=1&page_size=100", 0.1),
    Way("the same sorted by a column", "queues?page=1&page_size=100&sort=messages&sort_reverse=true", 0.1),
    Way("the overview, twice a second", "overview", 0.5),
    Way("all queues, without a pause", "queues"),
    Way("all queues compressed, without a pause", "queues", 0.0, {"accept-encoding": "gzip"}),
)


@dataclass
class Run:
    """One measurement: milliseconds."""

    p50: float
    p99: float
    worst: float
    answers: list[float]


def main() -> None:
    """Measure, and print a line for each way."""
    parser = argparse.ArgumentParser(description="message latency while the HTTP API is polled")
    parser.add_argument("--port", type=int, default=5672)
    parser.add_argument("--management-port", type=int, default=15672)
    parser.add_argument("--queues", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=10_000, help="messages a second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    declare(options.management_port, options.queues)
    runs: dict[str, list[Run]] = {way.title: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        for _ in range(options.rounds):
            for way in WAYS:
                runs[way.title].append(measure(program, way, options))
    print(f"{'':42} {'p50':>7} {'p99':>7} {'max':>7}   answers: {'median':>7} {'max':>7}   (ms)")
    for title, found in runs.items():
        print(line(title, found))


def declare(port: int, queues: int) -> None:
    """Declare so many queues with one import."""
    rows = [
        {"name": f"polled-{number:06}", "vhost": "/", "durable": False, "auto_delete": False, "arguments": {}}
        for number in range(queues)
    ]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=RUN_SECONDS)
    headers = {**LOGIN, "content-type": "application/json"}
    connection.request("POST", "/api/definitions", json.dumps({"queues": rows}), headers)
    response = connection.getresponse()
    assert response.status == 204, response.read()


def measure(program: Path, way: Way, options: argparse.Namespace) -> Run:
    """Let messages flow, and poll meanwhile."""
    answers: list[float] = []
    over = threading.Event()
    poller = threading.Thread(target=poll, args=(way, options.management_port, over, answers))
    if way.path:
        poller.start()
    command = [str(program), "-p", str(options.port), "-d", str(options.seconds), "-r", str(options.rate)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=True)
    finally:
        over.set()
        if way.path:
            poller.join()
    said = json.loads(done.stdout)
    return Run(said["p50_us"] / 1000, said["p99_us"] / 1000, said["max_us"] / 1000, answers)


def poll(way: Way, port: int, over: threading.Event, answers: list[float]) -> None:
    """Ask again and again, and note how long each answer took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=RUN_SECONDS)
    while not over.is_set():
        begun = time.monotonic()
        connection.request("GET", f"/api/{way.path}", headers={**LOGIN, **way.headers})
        response = connection.getresponse()
        response.read()
        assert response.status == 200, response.status
        answers.append((time.monotonic() - begun) * 1000)
        over.wait(way.pause)
    connection.close()


def line(title: str, runs: list[Run]) -> str:
    """The medians of one way's runs."""
    p50, p99, worst = (
        statistics.median(values) for values in zip(*[(r.p50, r.p99, r.worst) for r in runs], strict=True)
    )
    answers = [answer for run in runs for answer in run.answers]
    told = f"   answers: {statistics.median(answers):7.1f} {max(answers):7.1f}" if answers else ""
    return f"{title:42} {p50:7.2f} {p99:7.2f} {worst:7.2f}{told}"


if __name__ == "__main__":
    main()
