"""The differences between amqpd and RabbitMQ 3.10.8 that are no bug, each with its reason. Whatever is not here fails.

Differences in replies are recognised here. The others (`by_model`) are allowed sets that model.py computes; their names
stand here for the table at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from interop.differential.program import Step

Reply = list[Any]  # name and arguments


@dataclass(frozen=True)
class Known:
    """A difference that is allowed.

    Args:
        name: what the summary calls it.
        reason: why it is no bug.
        explains: given the step and what amqpd and RabbitMQ replied.
    """

    name: str
    reason: str
    explains: Callable[[Step, Reply, Reply], bool]


def by_model(_step: Step, _amqpd: Reply, _rabbitmq: Reply) -> bool:
    """Never seen in a reply."""
    return False


_NEWER_TEXTS: Final = (
    ("prefetch count is not set for 'queue '", "prefetch count is not set for stream queue '"),
    ("''", "'"),  # at the end of that one
    ("acknowledgement not supported by stream queues queue", "acknowledgement not supported by stream queue"),
    ("received none but current is the value 'stream' of type 'longstr'", "received 'classic' but current is 'stream'"),
)


def _newer(text: str) -> str:
    for old, new in _NEWER_TEXTS:
        text = text.replace(old, new)
    return text


def _same_but_older_text(_step: Step, amqpd: Reply, rabbitmq: Reply) -> bool:
    if amqpd[0] != rabbitmq[0] or "reply_text" not in amqpd[1]:
        return False
    return bool(amqpd[1] == rabbitmq[1] | {"reply_text": _newer(rabbitmq[1]["reply_text"])})


def _crash(part: str) -> Callable[[Step, Reply, Reply], bool]:
    """RabbitMQ crashes where amqpd refuses with 406 and a text that has this part."""

    def explains(_step: Step, amqpd: Reply, rabbitmq: Reply) -> bool:
        crashed = rabbitmq[0] == "connection.close" and rabbitmq[1]["reply_code"] == 541
        return crashed and amqpd[1].get("reply_code") == 406 and part in amqpd[1]["reply_text"]

    return explains


def _wrong_offset(step: Step, amqpd: Reply, rabbitmq: Reply) -> bool:
    """RabbitMQ looks at an offset of a wrong type last, and at other arguments and the prefetch before."""
    refused = rabbitmq[0] in ("channel.close", "connection.close")
    return refused and "invalid_stream_offset_arg" in amqpd[1].get("reply_text", "")


def _unknown_filter_size(step: Step, amqpd: Reply, rabbitmq: Reply) -> bool:
    if "x-stream-filter-size-bytes" not in step.values.get("arguments", {}) or rabbitmq[0] != "queue.declare_ok":
        return False
    return "x-stream-filter-size-bytes" in amqpd[1].get("reply_text", "")


KNOWN: Final = (
    Known("older texts of streams", "J42: 4.0 words them better", _same_but_older_text),
    Known("wrong x-stream-offset", "RabbitMQ 3.10 and 4.0 crash, and look at other things before", _wrong_offset),
    Known("wrong x-max-age of a stream", "RabbitMQ crashes", _crash("invalid_max_age")),
    Known("filter size", "J45: since 3.13", _unknown_filter_size),
    Known("nack and recover of streams", "J43: since 4.0 they give back credit, before they were refused", by_model),
    Known("last chunk", 'in RabbitMQ "last" is where the last chunk begins; clients do not see chunks', by_model),
    Known("credit by chunks", "J44: since 4.0 the prefetch is exact", by_model),
    Known(
        "lost on the way",
        "RabbitMQ keeps messages in AMQP 1.0, which has no cluster_id and no tables and arrays in headers",
        by_model,
    ),
    Known("room that records take", "what is kept depends on it, and RabbitMQ spends offsets itself", by_model),
)
