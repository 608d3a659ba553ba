"""What is known of a virtual host beside its name: description, tags, and the type that its queues have by default.

Rule: what may live here is that, and how the catalog keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, final

from amqpd.broker.arguments import DEFAULT_TYPE
from amqpd.broker.queues.types import QUEUE_TYPES

MOST_OCTETS: Final = 255  # of a name that connection.open can carry


@final
class VHostMetadata:
    """The metadata of one virtual host. It never changes: another one takes its place.

    Args:
        description: for people.
        tags: for people and programs.
        default_queue_type: of queues that are declared without one; None for the broker's, which is classic.
        protected: it cannot be deleted over HTTP.

    Raises:
        ValueError: there is no such queue type.
    """

    def __init__(
        self,
        description: str = "",
        tags: Sequence[str] = (),
        default_queue_type: str | None = None,
        protected: bool = False,
    ) -> None:
        if default_queue_type is not None and default_queue_type not in QUEUE_TYPES:
            raise ValueError(f"there is no queue type {default_queue_type}")
        self.description = description
        self.tags = tuple(tags)
        self.default_queue_type = default_queue_type
        self.protected = protected

    def queue_type(self, durable: bool, exclusive: bool, auto_delete: bool) -> str:
        """The type of a queue that is declared without one. Types that must last are only for queues that do."""
        kind = self.default_queue_type
        if kind is None or not (durable and not exclusive and not auto_delete):
            return DEFAULT_TYPE
        return kind

    def as_json(self) -> str:
        """For the catalog."""
        found: dict[str, object] = {"description": self.description, "tags": list(self.tags)}
        if self.default_queue_type is not None:
            found["default_queue_type"] = self.default_queue_type
        if self.protected:
            found["protected_from_deletion"] = True
        return json.dumps(found)


def metadata_of(text: str) -> VHostMetadata:
    """What as_json() made. What is missing or makes no sense is left out: a virtual host must come back.

    Raises:
        ValueError: this is no JSON object.
    """
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("the metadata is no JSON object")
    description, tags, kind = found.get("description"), found.get("tags"), found.get("default_queue_type")
    return VHostMetadata(
        description if isinstance(description, str) else "",
        [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else (),
        kind if isinstance(kind, str) and kind in QUEUE_TYPES else None,
        found.get("protected_from_deletion") is True,
    )


def check_vhost_name(name: str) -> None:
    """See whether clients could open a virtual host of this name.

    Raises:
        ValueError: it is empty, too long, or no text that UTF-8 can write.
    """
    if not name or len(name.encode()) > MOST_OCTETS:
        raise ValueError(f"the name of a virtual host has 1 to {MOST_OCTETS} octets")
