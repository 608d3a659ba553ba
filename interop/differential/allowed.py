"""The differences that are no bug, each with its reason. Whatever is not here fails.

The RabbitMQ beside is Debian's 3.10.8; amqpd follows 4.0 (docs/compatibility.md). A Rewrite removes a difference from
what was seen, on both sides, and the program goes on. An Ending recognises a step after which the brokers are in
different states for a known reason: the program ends there, and counts as passed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from interop.differential.channel import Observation
from interop.differential.program import Program, Step


@dataclass(frozen=True)
class Rewrite:
    """A difference that is taken out on both sides.

    Args:
        name: what the summary calls it.
        reason: why it is no bug.
        change: given what a step brought about and the program; alters the former in place, True when it did.
    """

    name: str
    reason: str
    change: Callable[[Observation, Program], bool]


@dataclass(frozen=True)
class Ending:
    """A difference after which the program cannot go on.

    Args:
        name: what the summary calls it.
        reason: why it is no bug.
        recognise: given the program up to the step, and what amqpd and RabbitMQ made of the step.
    """

    name: str
    reason: str
    recognise: Callable[[Program, Observation, Observation], bool]


# What the rewrites do.


def _in_messages(change: Callable[[Observation], bool]) -> Callable[[Observation, Program], bool]:
    """Applies a change to every message that was delivered, fetched or returned."""
    return lambda seen, _program: sum(change(message) for message in _messages(seen)) > 0


def _messages(value: Any) -> Iterator[Observation]:
    if isinstance(value, dict):
        if "properties" in value and "body" in value:
            yield value
            return
        value = list(value.values())
    if isinstance(value, list):
        for element in value:
            yield from _messages(element)


def _headers(message: Observation) -> dict[str, Any]:
    headers: dict[str, Any] = message["properties"].get("headers", {})
    return headers


def _drop(message: Observation, *names: str) -> bool:
    headers = _headers(message)
    return sum(headers.pop(name, None) is not None for name in names) > 0


def _drop_last_death(message: Observation) -> bool:
    return _drop(message, "x-last-death-reason", "x-last-death-queue", "x-last-death-exchange")


def _drop_first_delivery_count(seen: Observation, program: Program) -> bool:
    """With the header gone, an empty table cannot be told from none: with quorum queues, neither is looked for."""
    if not _quorum_queues(program):
        return False
    found = False
    for message in _messages(seen):
        headers = _headers(message)
        if headers.get("x-delivery-count") == ("l", 0):
            del headers["x-delivery-count"]
            found = True
        if not headers:
            message["properties"].pop("headers", None)
    return found


def _quorum_queues(program: Program) -> set[str]:
    return {
        step.values.get("queue", "")
        for step in program
        if step.values.get("arguments", {}).get("x-queue-type") == "quorum"
    }


def _drop_copies_of_dead(message: Observation) -> bool:
    return "x-death" in _headers(message) and _drop(message, "CC")


def _drop_times(message: Observation) -> bool:
    deaths = [death for death in _headers(message).get("x-death", []) if isinstance(death, dict)]
    for death in deaths:
        death["time"] = "now"
    return bool(deaths)


def _fetches(step: Step) -> bool:
    return step.method == "basic.get" and not step.values.get("no_ack")


def _has_single_active(step: Step) -> bool:
    return "x-single-active-consumer" in step.values.get("arguments", {})


def _forget_what_a_close_overtakes(seen: Observation, _program: Program) -> bool:
    closed = [view for place, view in seen.items() if place.startswith("channel") and _CLOSED in view]
    for letter in [place[-1] for place in seen if place.startswith("connection")]:
        closed += [view for place, view in seen.items() if place.startswith(f"channel {letter}")]
    found = sum(view.pop(kind, None) is not None for view in closed for kind in ("acked", "nacked", "deliveries")) > 0
    for place in [place for place, view in seen.items() if view == {}]:
        del seen[place]
    return found


def _forget_quorum_consumers(seen: Observation, program: Program) -> bool:
    if not any(step.method == "basic.cancel" or _fetches(step) or _has_single_active(step) for step in program):
        return False
    quorum = _quorum_queues(program)
    counted = [view for place, view in seen.items() if place.startswith("queue ") and place[6:] in quorum]
    for view in counted:
        if isinstance(view[0], tuple):
            view[0] = view[0][0], None
    replies = [reply for view in seen.values() if isinstance(view, dict) for reply in view.get("replies", [])]
    declared = [values for name, values in replies if name == "queue.declare_ok" and values["queue"] in quorum]
    for values in declared:
        values["consumer_count"] = None
    return bool(counted or declared)


def _forget_counts_of_expired(seen: Observation, program: Program) -> bool:
    mortal = any("ttl" in name for step in program for name in step.values.get("arguments", {}))
    mortal |= any("expiration" in step.values.get("properties", {}) for step in program)
    if not mortal or not _quorum_queues(program):
        return False
    fetched = [message for message in _messages(seen) if "message_count" in message]
    for message in fetched:
        del message["message_count"]
    return bool(fetched)


def _forget_partial_deliveries(seen: Observation, program: Program) -> bool:
    refusing = any(str(step.values.get("arguments", {}).get("x-overflow")).startswith("reject") for step in program)
    if not refusing or not any(step.method == "tx.commit" for step in program):
        return False
    delivered = [message for message in _messages(seen) if "redelivered" in message]
    for message in delivered:
        del message["redelivered"]
    return bool(delivered)


# What the endings recognise.


def _commits_to_other_queues(program: Program, _amqpd: Observation, _rabbitmq: Observation) -> bool:
    """A commit, and since the first publish in the transaction queues came or went (or may have gone by themselves)."""
    commit = program[-1]
    if commit.method != "tx.commit":
        return False
    since: Program = []
    for step in program[:-1]:
        if step.place == commit.place and step.method in ("tx.commit", "tx.rollback"):
            since = []
        elif since or (step.place == commit.place and step.method == "basic.publish"):
            since.append(step)
    fleeting = any(
        step.values.get("auto_delete")
        or step.values.get("exclusive")
        or "x-expires" in step.values.get("arguments", {})
        for step in program
    )
    return bool(since) and (fleeting or any(step.method in ("queue.declare", "queue.delete") for step in since))


def _binds_history_to_nowhere(program: Program, _amqpd: Observation, rabbitmq: Observation) -> bool:
    return program[-1].method == "exchange.bind" and _has_close(rabbitmq, 541, "INTERNAL_ERROR")


def _drops_in_another_order(program: Program, amqpd: Observation, rabbitmq: Observation) -> bool:
    """Nothing differs but which message it is that a quorum queue dropped."""
    quorum = _quorum_queues(program)
    seen = copy.deepcopy([amqpd, rabbitmq])
    for message in _messages(seen):
        latest: dict[str, Any] = next(iter(_headers(message).get("x-death", [])), {})
        if latest.get("reason") == "maxlen" and latest.get("queue") in quorum:
            message.clear()
    return bool(seen[0] == seen[1])


def _closed_with(code: int, text: str) -> Callable[[Program, Observation, Observation], bool]:
    """Recognises that RabbitMQ alone closes, with this code and a text that holds this."""

    def recognise(_program: Program, amqpd: Observation, rabbitmq: Observation) -> bool:
        return bool(_has_close(rabbitmq, code, text)) and not _has_close(amqpd, code, text)

    return recognise


def _has_close(seen: Observation, code: int, text: str) -> bool:
    closes = [
        view["closed by the broker"] for place, view in seen.items() if place[:7] == "channel" and _CLOSED in view
    ]
    closes += [view[1] for place, view in seen.items() if place.startswith("connection") and view[1]]
    return any(close["reply_code"] == code and text in close["reply_text"] for close in closes)


_CLOSED: Final = "closed by the broker"
QUORUM_CONSUMERS: Final = (
    "RabbitMQ's count has who fetched or was cancelled and has not settled, and not who waits to be active"
)

ALLOWED: Final[tuple[Rewrite | Ending, ...]] = (
    Rewrite("time of death", "two clocks", _in_messages(_drop_times)),
    Rewrite("x-last-death-*", "J24: since 3.13", _in_messages(_drop_last_death)),
    Rewrite("x-delivery-count 0", "J27: absent on the first delivery since 3.12", _drop_first_delivery_count),
    Rewrite("CC after a dead-letter key", "J23: kept since 3.13, removed before", _in_messages(_drop_copies_of_dead)),
    Rewrite("quorum consumers", QUORUM_CONSUMERS, _forget_quorum_consumers),
    Rewrite(
        "overtaken by a close", "what RabbitMQ has not sent when it closes is lost", _forget_what_a_close_overtakes
    ),
    Rewrite(
        "quorum get count", "RabbitMQ counts what has expired, or not, depending on no_ack", _forget_counts_of_expired
    ),
    Rewrite(
        "partial commit", "RabbitMQ may deliver before it closes with 406, amqpd closes", _forget_partial_deliveries
    ),
    Ending("commit to other queues", "J41: 3.10 looks for the queues at the commit", _commits_to_other_queues),
    Ending(
        "history to nowhere",
        "RabbitMQ fails over an x-recent-history exchange that is bound to an exchange that leads to no queue",
        _binds_history_to_nowhere,
    ),
    Ending(
        "order of the dropped",
        "of what a quorum queue drops at once, RabbitMQ dead-letters the newest first",
        _drops_in_another_order,
    ),
    Ending("empty queue type", "J12: the default type since 4.1", _closed_with(406, "unsupported queue type ''")),
    Ending(
        "unknown exchange type",
        "J5: closes the channel since 4.0, the connection before",
        _closed_with(503, "exchange type"),
    ),
    Ending("delivery mode 3", "J17: transient since 4.0, refused before", _closed_with(406, "delivery_mode_unknown")),
)
