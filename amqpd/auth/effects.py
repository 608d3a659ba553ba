"""What a change of accounts concerns beside the accounts: the catalog, which keeps it, those who listen to the broker's
events, and open connections.

Rule: what may live here passes changes on. What they are is known to users, permissions and topics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from amqpd.broker.broker import Broker

if TYPE_CHECKING:
    from amqpd.catalog.catalog import Catalog


class Effects:
    """The effects in one broker.

    Args:
        broker: None for accounts that nobody can use yet.
    """

    def __init__(self, broker: Broker | None) -> None:
        self._broker = broker

    def catalog(self) -> Catalog | None:
        """The catalog, to be changed; None if nothing is kept."""
        return None if self._broker is None else self._broker.context.storage.changing()

    def access_changed(self, vhost: str) -> None:
        """Users of a virtual host may do other things from now on, open connections included."""
        found = None if self._broker is None else self._broker.vhosts.get(vhost)
        if found is not None:
            found.access_changed()

    def emit(self, key: str, fields: Mapping[str, object]) -> None:
        """Tell of the change."""
        if self._broker is not None:
            self._broker.events.emit(key, fields)
