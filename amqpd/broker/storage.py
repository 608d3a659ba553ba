"""Storage: what the broker keeps on the disk, and where.

Rule: what may live here decides what is durable and hands it on: messages to the backlogs of the queues, topology to
the catalog. Without a data directory nothing is kept, and the same calls do nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from mypy_extensions import i64

from amqpd.broker.queues.backlog import Backlog, StoreHost
from amqpd.log.commit import SAFE, Commits
from amqpd.log.files import Files
