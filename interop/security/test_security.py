"""Short attacks: the broker answers, takes little memory, and serves its other clients meanwhile.

A long run, with the numbers of docs/security.md: python -m interop.security --long
"""

from __future__ import annotations

import base64
import re
import subprocess
from pathlib import Path

import pytest

from interop.amqpd_server import ROOT, AmqpdServer
from interop.security.attacks import ATTACKS, Attack, untrusting
from interop.security.campaign import MIB, run, table
from interop.security.speech import client, connect, login, read_to_end, read_until
from interop.security.target import make_certificates, program
from interop.waiting import eventually

# Of one message of the neighbour's. A machine that runs other tests beside this one is slow by itself; a broker that is
# held up by an attack is so for seconds.
MOST_MILLISECONDS = 2_000.0
KEY_PASSWORD = "the-password-of-the-key"
SECRETS = ("a-wrong-password", KEY_PASSWORD, "PRIVATE KEY")
# Where the HTTP API tells of TLS and of the configuration. tests/management/test_secrets.py walks through all of it.
SHOWN = ("/api/definitions", "/api/overview", "/api/nodes", "/api/health/checks/certificate-expiration/1/days")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Options with which a broker speaks TLS."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])
def test_an_attack_is_survived_in_little_memory_and_others_are_served(
    attack: Attack, certificates: tuple[str, ...]
) -> None:
    outcome = run(attack, certificates)
    print(table([outcome]))
    assert outcome.memory < attack.memory * MIB
    assert outcome.longest < MOST_MILLISECONDS


def answer(port: int, path: str, password: str = "guest") -> bytes:
    """What the HTTP API answers guest."""
    authorization = base64.b64encode(f"guest:{password}".encode()).decode()
    with connect(port) as sock:
        sock.sendall(f"GET {path} HTTP/1.0\r\nAuthorization: Basic {authorization}\r\n\r\n".encode())
        return read_to_end(sock)


def test_no_secret_is_in_the_log_whatever_the_level_nor_in_an_export(tmp_path: Path) -> None:
    """Passwords right and wrong, hashes, and the password of the key."""
    certificate, key = encrypted(tmp_path)
    options = (
        *("--log-level", "debug", "--tls-port", "0", "--management-tls-port", "0", "--metrics-port", "0"),
        *("--tls-certificate", certificate, "--tls-key", key, "--tls-key-password", KEY_PASSWORD),
    )
    server = AmqpdServer(options=options, management_port=0)
    with server as broker:
        client(broker.port).close()
        with connect(broker.port) as sock:
            sock.sendall(login("a-wrong-password"))
            assert b"a-wrong-password" not in read_until(sock, b"ACCESS_REFUSED")
        with (
            connect(broker.ports["amqps"]) as plain,
            untrusting().wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.sendall(login())
            read_until(secure, b"\x00\x0a\x00\x29")
        assert b"a-wrong-password" not in answer(broker.ports["management"], "/api/whoami", "a-wrong-password")
        for path in SHOWN:
            shown = answer(broker.ports["management"], path).decode()
            assert shown.startswith("HTTP/1.1 200")
            assert [secret for secret in SECRETS if secret in shown] == []
        eventually(lambda: "connection.refused" in server.log.read_text(), "the log has the wrong password's refusal")
        log = server.log.read_text()
    assert "connection.authenticated" in log
    encoded = [base64.b64encode(f"guest:{secret}".encode()).decode() for secret in ("guest", SECRETS[0])]
    assert [secret for secret in (*SECRETS, *encoded) if secret in log] == []
    assert not re.search(r"\b[A-Za-z0-9+/]{48}\b", log), "something as long as a password hash"


def test_a_password_of_a_key_that_is_wrong_is_not_repeated(tmp_path: Path) -> None:
    certificate, key = encrypted(tmp_path)
    command = [
        *program(),
        *("--memory", "--no-management", "--port", "0", "--tls-port", "0"),
        *("--tls-certificate", certificate, "--tls-key", key, "--tls-key-password", "a-wrong-password"),
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 2
    assert ended.stderr.endswith("is encrypted; tls_key_password is not its password.\n")
    assert "a-wrong-password" not in ended.stdout + ended.stderr


def encrypted(folder: Path) -> tuple[str, str]:
    """A certificate, and its key encrypted with KEY_PASSWORD."""
    options = make_certificates(folder)
    key = folder / "encrypted.key"
    command = ["openssl", "pkcs8", "-topk8", "-in", options[3], "-out", str(key), "-passout", f"pass:{KEY_PASSWORD}"]
    subprocess.run(command, check=True)
    return options[1], str(key)
