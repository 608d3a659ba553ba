#!/usr/bin/env python3
"""How much polling the HTTP API and the metrics disturbs message traffic, and how long their answers take.

    python -m interop.bench.polling --port 5672 --management-port 15672 --metrics-port 15692 [--queues 10000]
        [--rounds 3] [--seconds 4] [--only TEXT]

The broker must run and be empty. Queues are declared first, each bound to amq.fanout and with a message, so that there
is something to tell of them. Then messages of 16 octets, 10,000 a second or --rate, go through a queue of their own
while the broker is asked in one way after the other, several rounds of all ways in turn; the first way is not to ask.
Figures are medians of the rounds: the latency of the messages, and the time from a request to the last octet of its
answer. The last ways import 100,000 rows into a virtual host, and delete it again.
Needs a C compiler, as compare.py.
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
SORTED = "/api/queues?page=1&page_size=100&sort="
QUEUE_FAMILIES = "family=queue_coarse_metrics&family=queue_metrics&family=queue_delivery_metrics"
GZIP = {"accept-encoding": "gzip"}
VHOST = "imported"
IMPORTED = 50_000  # queues, and as many bindings


@dataclass(frozen=True)
class Way:
    """One way to ask.

    Args:
        path: empty asks nothing.
        pause: seconds between an answer and the next request.
        headers: more of them.
        metrics: the port of the metrics is asked.
    """

    title: str
    path: str = ""
    pause: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    metrics: bool = False


@dataclass(frozen=True)
class ImportWay(Way):
    """Import so many rows, once a round, or delete them again.

    Args:
        seconds: for which messages flow.
        deletes: what is measured is not the import.
    """

    seconds: float = 12.0
    deletes: bool = False


WAYS = (
    Way("nobody polls"),
    Way("a page of 100 queues, ten times a second", "/api/queues?page=1&page_size=100", 0.1),
    Way("the same sorted by messages", SORTED + "messages&sort_reverse=true", 0.1),
    Way("the same sorted by a rate", SORTED + "message_stats.publish_details.rate", 0.1),
    Way("the same found by a regular expression", SORTED + "name&use_regex=true&name=^pol.*5$", 0.1),
    Way("a page of 500 queues, ten times a second", "/api/queues?page=1&page_size=500", 0.1),
    Way("the overview, twice a second", "/api/overview", 0.5),
    Way("all queues, without a pause", "/api/queues"),
    Way("all queues compressed, without a pause", "/api/queues", 0.0, GZIP),
    Way("all bindings, without a pause", "/api/bindings"),
    Way("definitions exported, without a pause", "/api/definitions"),
    Way("/metrics, once a second", "/metrics", 1.0, GZIP, metrics=True),
    Way("/metrics/per-object, once a second", "/metrics/per-object", 1.0, GZIP, metrics=True),
    Way("/metrics/per-object, without a pause", "/metrics/per-object", metrics=True),
    Way("/metrics/detailed, once a second", f"/metrics/detailed?{QUEUE_FAMILIES}", 1.0, GZIP, metrics=True),
    Way("/metrics/detailed, without a pause", f"/metrics/detailed?{QUEUE_FAMILIES}", metrics=True),
    ImportWay("100,000 rows imported", "/api/definitions"),
    ImportWay("and deleted with their virtual host", f"/api/vhosts/{VHOST}", seconds=4.0, deletes=True),
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
    parser.add_argument("--metrics-port", type=int, default=15692)
    parser.add_argument("--queues", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=10_000, help="messages a second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--only", default="", help="ways whose title has this in it")
    options = parser.parse_args()
    ways = [way for way in WAYS if options.only in way.title]
    declare(options.management_port, options.queues)
    runs: dict[str, list[Run]] = {way.title: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        for _ in range(options.rounds):
            for way in ways:
                runs[way.title].append(measure(program, way, options))
    print(f"{'':44} {'p50':>7} {'p99':>7} {'max':>7}   answers: {'median':>7} {'max':>7}   (ms)")
    for title, found in runs.items():
        print(line(title, found))


def declare(port: int, queues: int) -> None:
    """Declare so many queues with one import, and publish a message to each."""
    names = [f"polled-{number:06}" for number in range(queues)]
    ask(port, "POST", "/api/definitions", document(names, "/"))
    message = {"properties": {}, "routing_key": "", "payload": "x", "payload_encoding": "string"}
    ask(port, "POST", "/api/exchanges/%2F/amq.fanout/publish", json.dumps(message).encode())


def document(names: list[str], vhost: str) -> bytes:
    """Definitions of queues of these names, each bound to amq.fanout."""
    queues = [{"name": name, "vhost": vhost, "durable": False, "auto_delete": False, "arguments": {}} for name in names]
    bindings = [
        {
            "source": "amq.fanout",
            "vhost": vhost,
            "destination": name,
            "destination_type": "queue",
            "routing_key": name,
            "arguments": {},
        }
        for name in names
    ]
    return json.dumps({"queues": queues, "bindings": bindings}).encode()


def measure(program: Path, way: Way, options: argparse.Namespace) -> Run:
    """Let messages flow, and ask meanwhile."""
    if isinstance(way, ImportWay):
        return measure_import(program, way, options)
    answers: list[float] = []
    over = threading.Event()
    port = options.metrics_port if way.metrics else options.management_port
    asker = threading.Thread(target=poll, args=(way, port, over, answers))
    if way.path:
        asker.start()
    try:
        return traffic(program, options, options.seconds, answers)
    finally:
        over.set()
        if way.path:
            asker.join()


def measure_import(program: Path, way: ImportWay, options: argparse.Namespace) -> Run:
    """Let messages flow, and import or delete meanwhile."""
    answers: list[float] = []
    port = options.management_port
    body = document([f"imported-{number:06}" for number in range(IMPORTED)], VHOST)
    ask(port, "PUT", f"/api/vhosts/{VHOST}", b"{}")
    if way.deletes:
        ask(port, "POST", "/api/definitions", body)
    request = ("DELETE", way.path, None) if way.deletes else ("POST", way.path, body)
    asker = threading.Thread(target=lambda: answers.append(ask(port, *request)))
    asker.start()
    found = traffic(program, options, way.seconds, answers)
    asker.join()
    if not way.deletes:
        ask(port, "DELETE", f"/api/vhosts/{VHOST}")
    return found


def traffic(program: Path, options: argparse.Namespace, seconds: float, answers: list[float]) -> Run:
    """Messages for so long."""
    command = [str(program), "-p", str(options.port), "-d", str(seconds), "-r", str(options.rate)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=True)
    said = json.loads(done.stdout)
    return Run(said["p50_us"] / 1000, said["p99_us"] / 1000, said["max_us"] / 1000, answers)


def poll(way: Way, port: int, over: threading.Event, answers: list[float]) -> None:
    """Ask again and again, and note how long each answer took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=RUN_SECONDS)
    while not over.is_set():
        answers.append(answer(connection, "GET", way.path, None, way.headers))
        over.wait(way.pause)
    connection.close()


def ask(port: int, method: str, path: str, body: bytes | None = None) -> float:
    """One request on a connection of its own; see answer()."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=RUN_SECONDS)
    taken = answer(connection, method, path, body, {"content-type": "application/json"})
    connection.close()
    return taken


def answer(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> float:
    """The milliseconds until the last octet of an answer was there."""
    begun = time.monotonic()
    connection.request(method, path, body, {**LOGIN, **headers})
    response = connection.getresponse()
    said = response.read()
    assert response.status in (200, 201, 204), said
    return (time.monotonic() - begun) * 1000


def line(title: str, runs: list[Run]) -> str:
    """The medians of one way's runs."""
    p50, p99, worst = (
        statistics.median(values) for values in zip(*[(r.p50, r.p99, r.worst) for r in runs], strict=True)
    )
    answers = [answer for run in runs for answer in run.answers]
    told = f"   answers: {statistics.median(answers):7.1f} {max(answers):7.1f}" if answers else ""
    return f"{title:44} {p50:7.2f} {p99:7.2f} {worst:7.2f}{told}"


if __name__ == "__main__":
    main()
