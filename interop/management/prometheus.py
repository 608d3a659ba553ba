"""A throw-away Prometheus that scrapes one broker every second and is asked what it has found."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from interop.waiting import eventually, free_port

START_SECONDS = 20.0
STOP_SECONDS = 10.0
CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: broker
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
- job_name: detailed
  metrics_path: /metrics/detailed
  params: {{family: [queue_coarse_metrics, queue_metrics, exchange_bindings]}}
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
- job_name: objects
  metrics_path: /metrics/per-object
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class PrometheusServer:
    """Context manager around one Prometheus.

    Args:
        port: of the broker's metrics.
    """

    def __init__(self, port: int) -> None:
        self._port = free_port()
        self._home = tempfile.TemporaryDirectory(prefix="prometheus-interop-")
        self._path = Path(self._home.name)
        self._path.joinpath("prometheus.yml").write_text(CONFIG.format(port=port))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PrometheusServer:
        """Start it.

        Raises:
            FileNotFoundError: Prometheus is not installed.
            TimeoutError: it was not ready in time.
        """
        command = [
            "prometheus",
            f"--config.file={self._path}/prometheus.yml",
            f"--storage.tsdb.path={self._path}/data",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        with self._path.joinpath("log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment())
        try:
            eventually(self._ready, "Prometheus is ready", START_SECONDS)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._home.cleanup()

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=5) as answer:
                status: int = answer.status
        except OSError:
            return False
        return status == 200

    def api(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its HTTP API."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/{path}?{query}", timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now."""
        found: list[dict[str, Any]] = self.api("query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float | None:
        """The value of the one series that an expression has; None without any."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def log(self) -> str:
        """What it said."""
        return self._path.joinpath("log").read_text()


def environment() -> dict[str, str]:
    """Nothing of a proxy between it and the loopback interface."""
    return {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
