"""A throw-away RabbitMQ node: own port, own directory, own epmd, everything on loopback, nothing left behind.

The packaged start script is called directly with its environment variables, past Debian's wrapper (which insists on
the user "rabbitmq" and on /var/lib/rabbitmq). So root and ordinary users can both run it, and the node never sees
/etc/rabbitmq or a broker that is already running on the default ports.

    python -m interop.rabbitmq.server --port 5772

prints one JSON line with pid, port and node, and stays until SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType

from interop.broker import Broker
from interop.waiting import eventually, free_port

START_SECONDS = 120.0  # a few, unless the machine is busy with a lot else
STOP_SECONDS = 20.0
LOOPBACK = "127.0.0.1"


class RabbitMQServer:
    """Context manager around one RabbitMQ node and the epmd it needs.

    Args:
        port: AMQP port, 0 for any free one.
        management_port: port of the management API and UI; None leaves the plugin off, which starts faster.
        config: more lines for rabbitmq.conf.
        plugins: names of more plugins.
    """

    def __init__(
        self, port: int = 0, management_port: int | None = None, config: str = "", plugins: tuple[str, ...] = ()
    ) -> None:
        self.port = port or free_port()
        self.node = f"interop{self.port}@localhost"
        self._home = tempfile.TemporaryDirectory(prefix="rabbitmq-interop-")
        self._path = Path(self._home.name)
        self._management_port = management_port
        self._config = config
        self._plugins = plugins
        self._epmd_port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Broker:
        """Start epmd and the node.

        Raises:
            FileNotFoundError: RabbitMQ is not installed.
            RuntimeError: the node ended instead of getting ready.
            TimeoutError: it was not ready in time.
        """
        try:
            return self._start()
        except BaseException:
            self._stop()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Stop the node, then its epmd, and remove their files."""
        self._stop()

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl against this node and return what it printed (takes a second or two).

        Raises:
            subprocess.CalledProcessError: rabbitmqctl failed.
        """
        command = [str(scripts() / "rabbitmqctl"), "--quiet", "-n", self.node, *arguments]
        return subprocess.run(command, env=self._environment(), check=True, capture_output=True, text=True).stdout

    @property
    def log(self) -> Path:
        """The node's log file."""
        return self._path / "log" / f"{self.node}.log"

    def _start(self) -> Broker:
        server = scripts() / "rabbitmq-server"
        self._write_configuration()
        self._spawn("epmd", "-address", LOOPBACK, "-port", str(self._epmd_port))
        node = self._spawn(str(server))
        eventually(lambda: self._is_ready(node), "RabbitMQ is ready", START_SECONDS)
        return Broker("rabbitmq", LOOPBACK, self.port, node.pid)

    def _write_configuration(self) -> None:
        management = () if self._management_port is None else ("rabbitmq_management",)
        plugins = ",".join((*management, *self._plugins))
        self._path.joinpath("enabled_plugins").write_text(f"[{plugins}].\n")
        self._path.joinpath("rabbitmq-env.conf").touch()
        lines = [self._config]
        if self._management_port is not None:
            lines += [f"management.tcp.ip = {LOOPBACK}", f"management.tcp.port = {self._management_port}"]
        self._path.joinpath("rabbitmq.conf").write_text("\n".join(lines) + "\n")

    def _environment(self) -> dict[str, str]:
        # An inherited RABBITMQ_… or ERL_… setting would lead the node astray, so none is passed on.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        return kept | {
            "HOME": str(self._path),  # the Erlang cookie lives there
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": str(self._path / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self._path / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._path / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._path / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._path / "log"),
            # Makes the script exec the Erlang VM: the child's pid is then the broker's, and SIGTERM stops it cleanly.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with self._path.joinpath("console").open("ab") as console:
            process = subprocess.Popen(
                command,
                cwd=self._path,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C at the terminal is for us, who then stop the node in order
            )
        self._processes.append(process)
        return process

    def _is_ready(self, node: subprocess.Popen[bytes]) -> bool:
        if node.poll() is not None:
            console = self._path.joinpath("console").read_text(errors="replace")
            raise RuntimeError(f"RabbitMQ ended with {node.returncode}:\n{console}")
        try:
            return "Server startup complete" in self.log.read_text(errors="replace")
        except FileNotFoundError:
            return False

    def _stop(self) -> None:
        for process in reversed(self._processes):  # the node first: it still talks to epmd
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            with suppress(ProcessLookupError):  # whatever of its process group is left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()
        self._home.cleanup()


def scripts() -> Path:
    """Return the directory of RabbitMQ's own scripts (not of the wrappers in /usr/sbin).

    Raises:
        FileNotFoundError: RabbitMQ or epmd is not installed.
    """
    packaged = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"))
    if packaged and shutil.which("epmd"):
        return packaged[-1]
    raise FileNotFoundError("no RabbitMQ here; on Debian: apt-get install --no-install-recommends rabbitmq-server")


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="a throw-away RabbitMQ node on loopback")
    parser.add_argument("--port", type=int, default=5772, help="AMQP port, 0 for any free one")
    parser.add_argument("--management-port", type=int, help="also start the management plugin, on this port")
    options = parser.parse_args()
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, exit_once)
    server = RabbitMQServer(options.port, options.management_port)
    with server as broker:
        print(json.dumps({"pid": broker.pid, "port": broker.port, "node": server.node, "url": broker.url}), flush=True)
        while True:
            signal.pause()


def exit_once(number: int, frame: FrameType | None) -> None:
    """Leave by SystemExit, so that every `with` stops what it started; more signals do not disturb that."""
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, signal.SIG_IGN)
    raise SystemExit(0)


if __name__ == "__main__":
    main()
