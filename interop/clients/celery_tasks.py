"""A Celery application as people write them: its tasks, and a factory for tests and worker processes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from celery import Celery, shared_task


def make_app(broker_url: str, result_backend: str, queue: str) -> Celery:
    """Return an application whose tasks go to `queue`."""
    app = Celery("interop", broker=broker_url, backend=result_backend)
    app.conf.update(
        task_default_queue=queue,
        result_expires=60,
        broker_connection_retry_on_startup=True,
        worker_hijack_root_logger=False,
    )
    app.finalize()
    return app


@shared_task(name="add")
def add(x: int, y: int) -> int:
    return x + y


@shared_task(name="total")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@shared_task(name="fail")
def fail(message: str) -> None:
    raise ValueError(message)


@shared_task(name="succeed_at_attempt", bind=True, max_retries=5)
def succeed_at_attempt(self: Any, wanted: int) -> int:
    """Retry at once until this is attempt number `wanted`."""
    attempt: int = self.request.retries + 1
    if attempt < wanted:
        raise self.retry(countdown=0)
    return attempt


@shared_task(name="started_at")
def started_at() -> float:
    """Return the wall clock time at which the task ran."""
    return time.time()


@shared_task(name="hang_once", acks_late=True, reject_on_worker_lost=True)
def hang_once(marker: str) -> str:
    """The first run leaves `marker` and hangs until its worker is killed, the next returns."""
    path = Path(marker)
    if path.exists():
        return "second run"
    path.touch()
    while True:
        time.sleep(1)


@shared_task(name="echo")
def echo(value: Any) -> Any:
    return value
