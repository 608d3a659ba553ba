"""RabbitMQ's own rabbitmqadmin, as its packages have it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from interop.management.api import API
from interop.names import unique
from interop.rabbitmq.server import scripts

pytestmark = pytest.mark.timeout(120)  # the broker of these tests is started within the first one

SCRIPT = "rabbitmq_management-*/priv/www/cli/rabbitmqadmin"


class Admin:
    """Runs the script against a broker."""

    def __init__(self, script: Path, api: API) -> None:
        self._command = [sys.executable, "-W", "ignore", str(script), "-H", api.broker.host, "-P", str(api.port)]

    def run(self, *arguments: str) -> str:
        """What a command prints.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        done = subprocess.run([*self._command, *arguments], check=True, capture_output=True, text=True, timeout=25)
        return done.stdout

    def rows(self, *arguments: str) -> list[dict[str, object]]:
        """The rows that a list or show command gives."""
        found = json.loads(self.run("-f", "raw_json", *arguments))
        assert isinstance(found, list)
        return found

    def fails(self, *arguments: str) -> str:
        """What a command says that fails."""
        done = subprocess.run([*self._command, *arguments], capture_output=True, text=True, timeout=25)
        assert done.returncode == 1
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def admin(api: API) -> Admin:
    """The script, from where the package keeps it."""
    try:
        found = sorted((scripts().parent / "plugins").glob(SCRIPT))
    except FileNotFoundError:
        found = []
    if not found:
        pytest.skip("no rabbitmqadmin here")
    return Admin(found[-1], api)


def test_queues_are_declared_filled_and_emptied(admin: Admin) -> None:
    queue, exchange = unique("admin"), unique("admin-x")
    assert admin.run("declare", "queue", f"name={queue}", "durable=true").strip() == "queue declared"
    assert admin.run("declare", "exchange", f"name={exchange}", "type=topic").strip() == "exchange declared"
    arguments = [f"source={exchange}", f"destination={queue}", "destination_type=queue", "routing_key=a.#"]
    assert admin.run("declare", "binding", *arguments).strip() == "binding declared"
    published = admin.run("publish", f"exchange={exchange}", "routing_key=a.b", "payload=hello").strip()
    assert published == "Message published"
    lost = admin.run("publish", f"exchange={exchange}", "routing_key=b", "payload=hello").strip()
    assert lost == "Message published but NOT routed"
    (message,) = admin.rows("get", f"queue={queue}", "ackmode=ack_requeue_true")
    assert (message["payload"], message["routing_key"], message["exchange"]) == ("hello", "a.b", exchange)
    assert admin.run("purge", "queue", f"name={queue}").strip() == "queue purged"
    bound = [row for row in admin.rows("list", "bindings") if row["destination"] == queue and row["source"] == exchange]
    assert [row["properties_key"] for row in bound] == ["a.%23"]
    assert admin.run("delete", "binding", *arguments[:3], "properties_key=a.%23").strip() == "binding deleted"
    assert admin.run("delete", "exchange", f"name={exchange}").strip() == "exchange deleted"
    assert admin.run("delete", "queue", f"name={queue}").strip() == "queue deleted"
    assert "Not found" in admin.fails("delete", "queue", f"name={queue}")


def test_accounts_and_policies_are_declared_and_deleted(admin: Admin) -> None:
    vhost, user, policy = unique("admin-v"), unique("admin-u"), unique("admin-p")
    admin.run("declare", "vhost", f"name={vhost}")
    admin.run("declare", "user", f"name={user}", "password=secret", "tags=management,policymaker")
    admin.run("declare", "permission", f"vhost={vhost}", f"user={user}", "configure=.*", "write=.*", "read=^a")
    definition = '{"max-length": 5}'
    place = [f"--vhost={vhost}"]
    for kind in ("policy", "operator_policy"):
        admin.run(*place, "declare", kind, f"name={policy}", "pattern=^a", f"definition={definition}")
    admin.run("declare", "vhost_limit", f"vhost={vhost}", "name=max-queues", "value=7")
    (found,) = [row for row in admin.rows("list", "users") if row["name"] == user]
    assert found["tags"] == ["management", "policymaker"]
    assert [row["read"] for row in admin.rows("list", "permissions") if row["user"] == user] == ["^a"]
    assert [row["definition"] for row in admin.rows("list", "policies") if row["name"] == policy] == [{"max-length": 5}]
    assert [row["name"] for row in admin.rows("list", "operator_policies") if row["vhost"] == vhost] == [policy]
    assert [row["value"] for row in admin.rows("list", "vhost_limits") if row["vhost"] == vhost] == [{"max-queues": 7}]
    assert any(row["component"] == "vhost-limits" for row in admin.rows("list", "parameters"))
    admin.run(*place, "delete", "policy", f"name={policy}")
    admin.run(*place, "delete", "operator_policy", f"name={policy}")
    admin.run("delete", "vhost_limit", f"vhost={vhost}", "name=max-queues")
    admin.run("delete", "permission", f"vhost={vhost}", f"user={user}")
    admin.run("delete", "user", f"name={user}")
    admin.run("delete", "vhost", f"name={vhost}")
    assert vhost not in [row["name"] for row in admin.rows("list", "vhosts")]


def test_lists_have_their_default_columns(admin: Admin) -> None:
    assert "rabbitmq_version" in admin.run("show", "overview")
    for kind in ("nodes", "vhosts", "users", "permissions", "exchanges", "queues", "bindings"):
        assert admin.run("list", kind)
    for kind in ("connections", "channels", "consumers", "policies", "parameters"):
        admin.run("list", kind)


def test_definitions_go_to_a_file_and_come_back(admin: Admin, tmp_path: Path) -> None:
    queue, file = unique("admin-file"), tmp_path / "definitions.json"
    admin.run("declare", "queue", f"name={queue}", "durable=true")
    assert "Exported definitions" in admin.run("export", str(file))
    admin.run("delete", "queue", f"name={queue}")
    assert "Uploaded definitions" in admin.run("import", str(file))
    assert queue in [row["name"] for row in admin.rows("list", "queues", "name")]
    assert [row["name"] for row in json.loads(file.read_text())["queues"] if row["name"] == queue] == [queue]
    admin.run("delete", "queue", f"name={queue}")


def test_what_is_refused_is_told_with_the_reason(admin: Admin) -> None:
    assert "is not a valid message TTL" in admin.fails(
        "declare", "policy", "name=p", "pattern=^a", 'definition={"message-ttl": "a"}'
    )
