"""Who sends a request: checks that take long."""

from __future__ import annotations

import base64
import threading

import anyio
import pytest

from amqpd.auth.users import User
from amqpd.management.auth import user_of
from amqpd.management.errors import LoginFailed
from amqpd.management.node import MOST_SLOW_LOGINS
from tests.auth.passwords import BCRYPT_OF_SECRET
from tests.management.api import API
from tests.net.peers import DEADLINE, eventually


class Checks:
    """Checks of passwords that last until they are let go."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.over = threading.Event()
        self._lock = threading.Lock()

    def run(self, password: bytes, password_hash: str, algorithm: str) -> bool:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.over.wait(DEADLINE)
        with self._lock:
            self.running -= 1
        return False


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_few_checks_of_bcrypt_run_at_a_time_and_all_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    checks, api, refused = Checks(), API(), list[str]()
    monkeypatch.setattr("amqpd.auth.users.matches", checks.run)
    api.world.users.put(User("slow", BCRYPT_OF_SECRET, "bcrypt", ["management"]))

    async def log_in(password: str) -> None:
        header = "Basic " + base64.b64encode(f"slow:{password}".encode()).decode()
        with pytest.raises(LoginFailed):
            await user_of(api.node, header, "127.0.0.1")
        refused.append(password)

    async with anyio.create_task_group() as tasks:
        for password in ("a", "b", "c", "d", "e"):
            tasks.start_soon(log_in, password)
        await eventually(lambda: checks.running == MOST_SLOW_LOGINS)
        await anyio.wait_all_tasks_blocked()
        checks.over.set()
    assert checks.most == MOST_SLOW_LOGINS
    assert sorted(refused) == ["a", "b", "c", "d", "e"]
