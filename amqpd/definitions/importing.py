"""Importing: what a document describes is made, row by row, in the order in which the rows need each other.

Nothing is ever deleted. What cannot change (queues, exchanges, bindings) stays as it is where it exists; what can
change (users, permissions, policies, parameters, metadata) becomes what the document says. Rule: what may live here
applies rows that were checked; it takes place between the turns of others, so what was true then may not be any more.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Final

from amqpd.auth.permissions import Permission
from amqpd.auth.users import User, UserStore
from amqpd.broker.binding import Destination
from amqpd.broker.broker import Broker
from amqpd.broker.events import INTERNAL_USER
from amqpd.broker.exchanges.base import Exchange
from amqpd.broker.parameters import policy_value
from amqpd.broker.vhost import VHost
from amqpd.broker.vhost_limits import PARAMETER
from amqpd.definitions.checking import Checking, merged, spec_of
from amqpd.definitions.rows import (
    SECTIONS,
    BindingRow,
    Definitions,
    ExchangeRow,
    GlobalParameterRow,
    LimitsRow,
    PermissionRow,
    PolicyRow,
    QueueRow,
    Row,
    SkippedRow,
    TopicPermissionRow,
    UserRow,
    VHostRow,
)
from amqpd.definitions.steps import Steps
from amqpd.errors import AMQPError
from amqpd.wire.json_values import json_of_table
from amqpd.wire.table import Table

MOST_WARNINGS: Final = 20
"""Rows that an import tells of; how many more there were it tells at the end."""


class Import:
    """One import. When steps() has ended, counts tells by section how many rows changed something.

    Args:
        broker, users: that are to become what the document says.
        definitions: as read.
        actor: the user who wants it.
        warn: told of every row that is left out, with the reason.
    """

    def __init__(
        self,
        broker: Broker,
        users: UserStore,
        definitions: Definitions,
        actor: str = INTERNAL_USER,
        warn: Callable[[str, str], None] | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.done = 0
        """Rows that were applied, or left out."""
        self.total = definitions.count
        self._broker = broker
        self._users = users
        self._definitions = definitions
        self._actor = actor
        self._warn = warn
        self._warnings = 0
        self._bound: dict[tuple[str, Exchange, Destination], set[tuple[str, str]]] = {}

    @property
    def summary(self) -> dict[str, int]:
        """How many rows there were, and how many of each section changed something."""
        return {"rows": self.total, **{section: count for section, count in self.counts.items() if count}}

    def steps(self) -> Steps:
        """Check everything, then apply a row a step.

        Raises:
            DefinitionsError: something is wrong, and nothing was changed.
        """
        yield from Checking(self._broker, self._users, self._definitions).steps()
        for section in SECTIONS:
            for row in self._definitions.rows[section]:
                self._apply(row)
                self.done += 1
                yield
        self._tell_how_many()

    def _apply(self, row: Row) -> None:
        try:
            changed = APPLY[type(row)](self, row)
        except (AMQPError, ValueError, LookupError) as error:  # somebody else was faster
            self._leave_out(row, error.explanation if isinstance(error, AMQPError) else str(error))
        else:
            self.counts[row.section] += changed

    def _leave_out(self, row: Row, reason: str) -> None:
        self._warnings += 1
        if self._warn is not None and self._warnings <= MOST_WARNINGS:
            self._warn(row.label, reason)

    def _tell_how_many(self) -> None:
        if self._warn is not None and self._warnings > MOST_WARNINGS:
            self._warn("others", f"{self._warnings - MOST_WARNINGS} more rows were left out")

    def _vhost(self, name: str) -> VHost:
        found = self._broker.vhosts.get(name)
        if found is None:
            raise LookupError(f"there is no virtual host '{name}'")
        return found

    # Every method applies one row, and returns True if that changed something.

    def skipped(self, row: Row) -> bool:
        """A row that means nothing here."""
        assert isinstance(row, SkippedRow)
        self._leave_out(row, row.reason)
        return False

    def user(self, row: Row) -> bool:
        """A user, with password and tags."""
        assert isinstance(row, UserRow)
        before = self._users.find(row.name)
        user = self._user_of(row, before)
        if before is not None and facts_of(before) == facts_of(user):
            return False
        self._users.put(user, self._actor)
        return True

    def _user_of(self, row: UserRow, before: User | None) -> User:
        limits = row.limits if row.limits is not None else {} if before is None else before.limits
        if row.password is None:
            return User(row.name, row.password_hash, row.algorithm, row.tags, limits)
        if before is not None and not before.is_slow and before.has_password(row.password):
            return User(row.name, before.password_hash, before.algorithm, row.tags, limits)
        return User(row.name, self._users.hash(row.password), tags=row.tags, limits=limits)

    def vhost(self, row: Row) -> bool:
        """A virtual host, with its metadata and limits."""
        assert isinstance(row, VHostRow)
        existing = self._broker.vhosts.get(row.name)
        changed = existing is None
        if existing is None:
            existing = self._broker.create_vhost(row.name, merged(row, None), self._actor)
            self._grant(row.name)
        else:
            metadata = merged(row, existing.metadata)
            if metadata.as_json() != existing.metadata.as_json():
                self._broker.update_vhost(row.name, metadata)
                changed = True
        if row.limits is not None and row.limits != self._broker.limits.of(existing):
            self._set_limits(existing, dict(row.limits))
            changed = True
        return changed

    def _grant(self, vhost: str) -> None:
        """A document that says nothing of permissions leaves a new virtual host to whoever imports it."""
        if not self._definitions.has_permissions and self._users.find(self._actor) is not None:
            self._users.permissions.set(self._actor, vhost, Permission(".*", ".*", ".*"), self._actor)

    def _set_limits(self, vhost: VHost, limits: dict[str, object]) -> None:
        if limits:
            self._broker.limits.set(vhost, PARAMETER, limits, self._actor)
        else:
            self._broker.limits.clear(vhost, PARAMETER, self._actor)

    def permission(self, row: Row) -> bool:
        """What a user may do."""
        assert isinstance(row, PermissionRow)
        self._vhost(row.vhost)
        before, now = self._users.permissions.find(row.user, row.vhost), row.permission
        if before is not None and (before.configure, before.write, before.read) == (now.configure, now.write, now.read):
            return False
        self._users.permissions.set(row.user, row.vhost, now, self._actor)
        return True

    def topic_permission(self, row: Row) -> bool:
        """Which routing keys a user may use."""
        assert isinstance(row, TopicPermissionRow)
        self._vhost(row.vhost)
        before = self._users.topic_permissions.find(row.user, row.vhost, row.exchange)
        if before is not None and (before.write, before.read) == (row.permission.write, row.permission.read):
            return False
        self._users.topic_permissions.set(row.user, row.vhost, row.exchange, row.permission, self._actor)
        return True

    def exchange(self, row: Row) -> bool:
        """An exchange, unless there is one."""
        assert isinstance(row, ExchangeRow)
        vhost = self._vhost(row.vhost)
        if row.name in vhost.exchanges:
            return False
        vhost.create_exchange(row.name, row.spec, self._actor)
        return True

    def global_parameter(self, row: Row) -> bool:
        """A global parameter."""
        assert isinstance(row, GlobalParameterRow)
        known = self._broker.globals.all()
        if row.name in known and known[row.name] == row.value:
            return False
        self._broker.globals.set(row.name, row.value, self._actor)
        return True

    def policy(self, row: Row) -> bool:
        """A policy."""
        assert isinstance(row, PolicyRow)
        vhost = self._vhost(row.vhost)
        before = vhost.policies.find(row.policy.name, row.policy.is_operator)
        if before is not None and policy_value(before) == policy_value(row.policy):
            return False
        vhost.set_policy(row.policy, self._actor)
        return True

    def limits(self, row: Row) -> bool:
        """The limits of a virtual host."""
        assert isinstance(row, LimitsRow)
        vhost = self._vhost(row.vhost)
        if row.limits == self._broker.limits.of(vhost):
            return False
        self._set_limits(vhost, dict(row.limits))
        return True

    def queue(self, row: Row) -> bool:
        """A queue, unless there is one."""
        assert isinstance(row, QueueRow)
        vhost = self._vhost(row.vhost)
        if row.name in vhost.queues:
            return False
        vhost.create_queue(row.name, spec_of(row, vhost.metadata), self._actor)
        return True

    def binding(self, row: Row) -> bool:
        """A binding, unless there is one, or one of its ends is missing."""
        assert isinstance(row, BindingRow)
        vhost = self._vhost(row.vhost)
        source = vhost.exchanges.get(row.source)
        names = vhost.queues if row.destination_is_queue else vhost.exchanges
        destination: Destination | None = names.get(row.destination)
        if source is None:
            raise LookupError(f"there is no {vhost.exchange_text(row.source)}")
        if destination is None:
            text = vhost.queue_text if row.destination_is_queue else vhost.exchange_text
            raise LookupError(f"there is no {text(row.destination)}")
        if self._is_bound(vhost, source, destination, row):
            return False
        vhost.bind(source, destination, row.key, row.arguments, self._actor)
        return True

    def _is_bound(self, vhost: VHost, source: Exchange, destination: Destination, row: BindingRow) -> bool:
        """A binding is there whose arguments are the same in JSON, whatever their types on the wire."""
        if not row.arguments:
            return source.find_binding(destination, row.key, row.arguments) is not None
        known = self._bound.get((vhost.name, source, destination))
        if known is None:
            known = {identity(bound.key, bound.arguments) for bound in source.bindings_to(destination)}
            self._bound[vhost.name, source, destination] = known
        found = identity(row.key, row.arguments)
        if found in known:
            return True
        known.add(found)
        return False


APPLY: Final[dict[type[Row], Callable[[Import, Row], bool]]] = {
    SkippedRow: Import.skipped,
    UserRow: Import.user,
    VHostRow: Import.vhost,
    PermissionRow: Import.permission,
    TopicPermissionRow: Import.topic_permission,
    ExchangeRow: Import.exchange,
    GlobalParameterRow: Import.global_parameter,
    PolicyRow: Import.policy,
    LimitsRow: Import.limits,
    QueueRow: Import.queue,
    BindingRow: Import.binding,
}
"""How a row is applied, by its class."""


def identity(key: str, arguments: Table) -> tuple[str, str]:
    """What tells two bindings between the same ends apart, as far as a document can."""
    return key, json.dumps(json_of_table(arguments), sort_keys=True)


def facts_of(user: User) -> tuple[object, ...]:
    """What can change of a user."""
    return user.password_hash, user.algorithm, sorted(user.tags), user.limits
