"""Celery: real worker processes; results over rpc://, and over files for chords, which rpc:// cannot do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.exceptions import TaskRevokedError

from interop.amqpd_server import ROOT
from interop.broker import Broker
from interop.clients.celery_tasks import make_app
from interop.names import unique
from interop.waiting import eventually

TIMEOUT_SECONDS = 15


@contextmanager
def running_worker(app: Celery, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process of `app`, ready; stopped with SIGTERM, which must end it cleanly unless it was killed."""
    name = f"{app.conf.task_default_queue}@localhost"
    environment = os.environ | {
        "INTEROP_BROKER": app.conf.broker_url,
        "INTEROP_BACKEND": app.conf.result_backend,
        "INTEROP_QUEUE": app.conf.task_default_queue,
        "PYTHONPATH": str(ROOT),
    }
    command = ["-m", "celery", "-A", "interop.clients.programs.celery_worker", "worker", "-E", "-n", name, *options]
    worker = subprocess.Popen([sys.executable, *command], env=environment, cwd=ROOT)
    try:
        eventually(lambda: app.control.ping([name], timeout=0.3), "the worker answers a ping", TIMEOUT_SECONDS)
        yield worker
        worker.terminate()
        assert worker.wait(TIMEOUT_SECONDS) in (0, -9)
    finally:
        worker.kill()
        worker.wait()


@pytest.fixture(scope="module")
def app(broker: Broker) -> Iterator[Celery]:
    """An application with a worker of two processes, results over rpc://."""
    application = make_app(broker.url, "rpc://", unique("celery"))
    with running_worker(application, "--pool", "prefork", "--concurrency", "2"):
        yield application
    application.close()


def delay(app: Celery, task: str, *args: Any, **options: Any) -> Any:
    return app.tasks[task].apply_async(args, **options)


def test_a_task_returns_its_result(app: Celery) -> None:
    assert delay(app, "add", 2, 3).get(timeout=TIMEOUT_SECONDS) == 5


def test_many_tasks_return_each_its_own_result(app: Celery) -> None:
    results = [delay(app, "add", number, number) for number in range(100)]
    assert [result.get(timeout=TIMEOUT_SECONDS) for result in results] == [2 * number for number in range(100)]


def test_large_arguments_and_results(app: Celery) -> None:
    text = "žluťoučký 🐇" * 50_000
    assert delay(app, "echo", text).get(timeout=TIMEOUT_SECONDS) == text


def test_an_exception_comes_back_as_exception(app: Celery) -> None:
    with pytest.raises(ValueError, match="on purpose"):
        delay(app, "fail", "on purpose").get(timeout=TIMEOUT_SECONDS)


def test_a_group_collects_its_results(app: Celery) -> None:
    add = app.tasks["add"]
    assert group(add.s(number, 1) for number in range(10))().get(timeout=TIMEOUT_SECONDS) == list(range(1, 11))


def test_a_chain_hands_results_on(app: Celery) -> None:
    add = app.tasks["add"]
    assert chain(add.s(1, 2), add.s(10), add.s(100))().get(timeout=TIMEOUT_SECONDS) == 113


def test_retries_end_in_success(app: Celery) -> None:
    assert delay(app, "succeed_at_attempt", 4).get(timeout=TIMEOUT_SECONDS) == 4


def test_a_countdown_delays_the_task(app: Celery) -> None:
    sent = time.time()
    assert delay(app, "started_at", countdown=1).get(timeout=TIMEOUT_SECONDS) >= sent + 1


def test_a_revoked_task_does_not_run(app: Celery) -> None:
    result = delay(app, "echo", "never", countdown=1.5)
    result.revoke()
    with pytest.raises(TaskRevokedError):
        result.get(timeout=TIMEOUT_SECONDS)


def test_an_expired_task_does_not_run(app: Celery) -> None:
    with pytest.raises(TaskRevokedError):
        delay(app, "echo", "never", countdown=0.5, expires=0.1).get(timeout=TIMEOUT_SECONDS)


def test_remote_control_asks_the_worker(app: Celery) -> None:
    name = f"{app.conf.task_default_queue}@localhost"
    inspect = app.control.inspect([name], timeout=TIMEOUT_SECONDS, limit=1)
    assert "add" in inspect.registered()[name]
    (queue,) = inspect.active_queues()[name]
    assert queue["name"] == app.conf.task_default_queue
    replies = app.control.rate_limit("add", "100/s", [name], reply=True, timeout=TIMEOUT_SECONDS, limit=1)
    assert replies == [{name: {"ok": "new rate limit set successfully"}}]


def test_events_tell_the_life_of_a_task(app: Celery) -> None:
    events: list[tuple[str, str]] = []

    def note(event: dict[str, Any]) -> None:
        events.append((event["type"], event.get("uuid", "")))

    with app.connection() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": note})
        with receiver.consumer_context() as (listening, _channel, _consumers):
            task = delay(app, "add", 1, 1)
            while ("task-succeeded", task.id) not in events:
                listening.drain_events(timeout=TIMEOUT_SECONDS)
    assert task.get(timeout=TIMEOUT_SECONDS) == 2
    assert [kind for kind, uuid in events if uuid == task.id] == ["task-received", "task-started", "task-succeeded"]


def test_a_chord_calls_back_when_all_are_done(broker: Broker, tmp_path: Path) -> None:
    app = make_app(broker.url, f"file://{tmp_path}", unique("chord"))
    with running_worker(app, "--pool", "solo"):
        add, total = app.tasks["add"], app.tasks["total"]
        assert chord(add.s(number, number) for number in range(5))(total.s()).get(timeout=TIMEOUT_SECONDS) == 20
    app.close()


def test_a_task_of_a_killed_worker_runs_again(broker: Broker, tmp_path: Path) -> None:
    app = make_app(broker.url, "rpc://", unique("killed"))
    marker = tmp_path / "marker"
    with running_worker(app, "--pool", "solo") as worker:
        result = delay(app, "hang_once", str(marker))
        eventually(marker.exists, "the task started")
        worker.kill()
    with running_worker(app, "--pool", "solo"):
        assert result.get(timeout=TIMEOUT_SECONDS) == "second run"
    app.close()
