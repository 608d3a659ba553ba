"""Checking rows against each other and against the broker: everything that could go wrong is found before it is done.

Rule: what may live here changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from amqpd.auth.password import PasswordError
from amqpd.auth.users import UserStore
from amqpd.broker.arguments import effective_type, validate_queue_arguments, with_effective_type
from amqpd.broker.binding import Destination
from amqpd.broker.broker import Broker
from amqpd.broker.declaration import check_properties
from amqpd.broker.exchanges import EXCHANGE_TYPES
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.metadata import VHostMetadata
from amqpd.broker.queues.base import QueueSpec
from amqpd.broker.vhost_limits import limit_of
from amqpd.definitions.reading import DefinitionsError
from amqpd.definitions.rows import (
    SECTIONS,
    BindingRow,
    Definitions,
    ExchangeRow,
    LimitsRow,
    PermissionRow,
    QueueRow,
    Row,
    TopicPermissionRow,
    UserRow,
    VHostRow,
)
from amqpd.definitions.steps import Steps
from amqpd.errors import AMQPError


class Checking:
    """Checks one document.

    Args:
        broker, users: into which it is to be imported.
    """

    def __init__(self, broker: Broker, users: UserStore, definitions: Definitions) -> None:
        self._broker = broker
        self._users = users
        self._definitions = definitions
        self._faults: list[str] = []
        self._vhost_rows = {row.name: row for row in definitions.rows["vhosts"] if isinstance(row, VHostRow)}
        self._user_names = {row.name for row in definitions.rows["users"] if isinstance(row, UserRow)}
        self._exchanges: dict[tuple[str, str], Exchange] = {}
        self._new_queues: defaultdict[str, set[str]] = defaultdict(set)  # names by virtual host

    def steps(self) -> Steps:
        """Check a row a step.

        Raises:
            DefinitionsError: at the end, if something is wrong.
        """
        for section in SECTIONS:
            for row in self._definitions.rows[section]:
                self._check(row)
                yield
        self._check_limits()
        if self._faults:
            raise DefinitionsError(self._faults)

    def _check(self, row: Row) -> None:
        vhost = getattr(row, "vhost", None)
        if vhost is not None and vhost not in self._vhost_rows and vhost not in self._broker.vhosts:
            self._fault(row, f"there is no virtual host '{vhost}'")
            return
        check = CHECKS.get(type(row))
        if check is None:
            return
        try:
            check(self, row)
        except AMQPError as error:
            self._fault(row, error.explanation)
        except ValueError as error:
            self._fault(row, str(error))

    def _fault(self, row: Row, fault: str) -> None:
        name = getattr(row, "name", None)
        shown = f' "{name[:80]}"' if name else ""
        self._faults.append(f"{row.label}{shown}: {fault}")

    def user(self, row: Row) -> None:
        """A password must be as the rules want it."""
        assert isinstance(row, UserRow)
        if row.password is not None:
            try:
                self._users.rules.check(row.password)
            except PasswordError as error:
                raise ValueError(str(error)) from None

    def permission(self, row: Row) -> None:
        """Its user must be there."""
        assert isinstance(row, PermissionRow | TopicPermissionRow)
        if row.user not in self._user_names and self._users.find(row.user) is None:
            raise ValueError(f"there is no user '{row.user}'")

    def exchange(self, row: Row) -> None:
        """Remember what bindings will find."""
        assert isinstance(row, ExchangeRow)
        spec = row.spec
        made = EXCHANGE_TYPES[spec.kind](row.name, spec.durable, spec.auto_delete, spec.internal, spec.arguments)
        self._exchanges.setdefault((row.vhost, row.name), made)

    def queue(self, row: Row) -> None:
        """A new one must be possible. One that is there stays as it is, whatever the row says."""
        assert isinstance(row, QueueRow)
        existing = self._broker.vhosts.get(row.vhost)
        if existing is not None and row.name in existing.queues:
            return
        spec = spec_of(row, self._metadata(row.vhost))
        kind = effective_type(row.name, row.vhost, spec.arguments)
        validate_queue_arguments(row.name, row.vhost, kind, spec.arguments)
        check_properties(row.name, row.vhost, kind, spec)
        self._new_queues[row.vhost].add(row.name)

    def binding(self, row: Row) -> None:
        """The source's type must be able to work with it."""
        assert isinstance(row, BindingRow)
        vhost = self._broker.vhosts.get(row.vhost)
        source = None if vhost is None else vhost.exchanges.get(row.source)
        source = source or self._exchanges.get((row.vhost, row.source))
        if source is not None:
            source.check_binding(Destination(row.destination), row.key, row.arguments)

    def _metadata(self, vhost: str) -> VHostMetadata:
        """What a virtual host's metadata will be."""
        existing = self._broker.vhosts.get(vhost)
        return merged(self._vhost_rows.get(vhost), None if existing is None else existing.metadata)

    def _check_limits(self) -> None:
        """No virtual host may get more queues than its limits, as they will be, allow."""
        for name, names in self._new_queues.items():
            limit, vhost, new = self._queue_limit(name), self._broker.vhosts.get(name), len(names)
            total = new + (0 if vhost is None else len(vhost.queues))
            if limit is not None and total > limit:
                self._faults.append(
                    f"queues: adding {new} would exceed the limit in vhost '{name}': {limit} are allowed,"
                    f" {total - new} are there"
                )

    def _queue_limit(self, name: str) -> int | None:
        rows = [row for row in self._definitions.rows["parameters"] if isinstance(row, LimitsRow) and row.vhost == name]
        if rows:
            return limit_of(rows[-1].limits, "max-queues")
        row, vhost = self._vhost_rows.get(name), self._broker.vhosts.get(name)
        if row is not None and row.limits is not None:
            return limit_of(row.limits, "max-queues")
        return None if vhost is None else vhost.max_queues


CHECKS: Final[dict[type[Row], Callable[[Checking, Row], None]]] = {
    UserRow: Checking.user,
    PermissionRow: Checking.permission,
    TopicPermissionRow: Checking.permission,
    ExchangeRow: Checking.exchange,
    QueueRow: Checking.queue,
    BindingRow: Checking.binding,
}
"""What there is to check, by the class of row."""


def merged(row: VHostRow | None, current: VHostMetadata | None) -> VHostMetadata:
    """The metadata of a virtual host after a row has been applied: what the row does not tell stays."""
    current = current or VHostMetadata()
    if row is None:
        return current
    return VHostMetadata(
        current.description if row.description is None else row.description,
        current.tags if row.tags is None else row.tags,
        current.default_queue_type if row.default_queue_type is None else row.default_queue_type,
        current.protected or row.protected,
    )


def spec_of(row: QueueRow, metadata: VHostMetadata) -> QueueSpec:
    """What a queue is declared with: a row without a type means the virtual host's."""
    kind = metadata.queue_type(row.durable, False, row.auto_delete)
    return QueueSpec(row.durable, None, row.auto_delete, with_effective_type(row.arguments, kind))
