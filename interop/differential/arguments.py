"""Random arguments and properties, good ones and bad ones.

Rule: what may live here are values of steps; which steps there are is decided in generate.py. No TTL but 0 and one that
no program outlives, and no x-expires that ends; those that do are SHORT, and generate.py lets them.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

LONG: Final = 600_000  # milliseconds: longer than any program
SHORT: Final = 20  # milliseconds
MORTAL: Final = ("0", str(SHORT))  # the expiration property of messages that programs outlive

# Their choice among several destinations is a broker's own.
SCATTERING: Final = ("x-consistent-hash", "x-random", "x-modulus-hash")

Values = dict[str, Any]


def queue(random: Random, names: list[str], quorum: bool) -> Values:
    """Flags and arguments of a queue.declare that succeeds.

    Args:
        random: where chance comes from.
        names: queues that a dead-letter routing key may name.
        quorum: it may be a quorum queue.
    """
    if quorum and random.random() < 0.6:
        return {
            "durable": True,
            "arguments": {"x-queue-type": "quorum", "x-delivery-limit": 10} | _quorum(random, names),
        }
    flags = ("durable", 0.5), ("exclusive", 0.12), ("auto_delete", 0.15)
    values: Values = {flag: True for flag, chance in flags if random.random() < chance}
    arguments = _classic(random, names)
    return values | ({"arguments": arguments} if arguments else {})


def _quorum(random: Random, names: list[str]) -> Values:
    found = _common(random, names)
    if random.random() < 0.3:
        found["x-delivery-limit"] = random.choice((0, 1, 2))
    if "x-single-active-consumer" not in found and random.random() < 0.1:
        found["x-dead-letter-strategy"] = "at-most-once"
    elif "x-dead-letter-exchange" in found and random.random() < 0.3:
        found |= {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
    return found


def _classic(random: Random, names: list[str]) -> Values:
    found = _common(random, names)
    if random.random() < 0.2 and found.get("x-message-ttl") != 0:
        found["x-max-priority"] = random.choice((1, 3, 10, 255))
    if random.random() < 0.1:
        found["x-queue-type"] = "classic"
    if random.random() < 0.05:  # 3.10's lazy queues lose the original expiration of what they dead-letter
        found["x-queue-mode"] = "default" if "x-dead-letter-exchange" in found else "lazy"
    return found


def _common(random: Random, names: list[str]) -> Values:
    found: Values = {}
    if random.random() < 0.2:
        found["x-message-ttl"] = random.choice((0, LONG))
    if random.random() < 0.3:
        found["x-max-length"] = random.choice((0, 1, 2, 3))
    if random.random() < 0.1:
        found["x-max-length-bytes"] = random.choice((0, 5, 12))
    if found and random.random() < 0.4:
        found["x-overflow"] = random.choice(("drop-head", "reject-publish", "reject-publish-dlx"))
    if random.random() < 0.4:
        found["x-dead-letter-exchange"] = random.choice(("", "", "@e1", "amq.fanout", "@missing"))
        if random.random() < 0.6:
            found["x-dead-letter-routing-key"] = random.choice((*names, "a", "a.b"))
    if random.random() < 0.1:
        found["x-single-active-consumer"] = True
    if random.random() < 0.05:
        found["x-expires"] = LONG
    return found


def exchange(random: Random) -> Values:
    """Type, flags and arguments of an exchange.declare that succeeds."""
    kinds = ("direct", "fanout", "topic", "headers", "x-recent-history", *SCATTERING)
    values: Values = {"type": random.choices(kinds, (4, 4, 4, 4, 2, 1, 1, 1))[0]}
    flags = ("durable", 0.4), ("auto_delete", 0.15), ("internal", 0.06)
    values |= {flag: True for flag, chance in flags if random.random() < chance}
    found = dict(random.choice(TYPE_ARGUMENTS.get(values["type"], ({},))))
    if random.random() < 0.2:
        found["alternate-exchange"] = random.choice(("@e1", "@e2", "amq.fanout", "", "@missing"))
    return values | ({"arguments": found} if found else {})


def altered(random: Random, values: Values) -> Values:
    """The values of a declare with one thing changed."""
    if random.random() < 0.3:
        flag = random.choice(("durable", "auto_delete", "exclusive"))
        return values | {flag: not values.get(flag)}
    arguments = dict(values.get("arguments", {}))
    name = random.choice([name for name in BAD if not name.startswith("x-queue-type")])
    if arguments.pop(name, None) is None:
        arguments[name] = random.choice((*BAD[name], 1, "drop-head"))
    return values | {"arguments": arguments}


def binding(random: Random) -> Values:
    """Arguments of a binding to a headers exchange."""
    found = _some_headers(random)
    if random.random() < 0.8:
        found["x-match"] = random.choice(("all", "any", "all-with-x", "any-with-x"))
    if random.random() < 0.05:
        found["x-match"] = random.choice(("most", 1))
    return found


def consumer(random: Random, quorum: bool) -> Values:
    """Flags and arguments of a basic.consume."""
    values: Values = {"no_ack": random.random() < 0.3, "exclusive": random.random() < 0.08}
    if random.random() < 0.1 and not quorum:
        values["arguments"] = {"x-priority": random.choice((-1, 0, 5, ("l", 5), ("s", 1)))}
    if random.random() < 0.02:
        values["arguments"] = {"x-priority": "high"}
    return values


def properties(random: Random, names: list[str]) -> Values:
    """Properties of a message."""
    found: Values = {}
    for name, chance, values in PROPERTIES:
        if random.random() < chance:
            found[name] = random.choice(values)
    headers = _some_headers(random) if random.random() < 0.3 else {}
    for name in ("CC", "BCC"):
        if random.random() < 0.06:
            headers[name] = random.sample([*names, "a", "b", "@nobody"], 2)
    if headers or random.random() < 0.03:
        found["headers"] = headers
    return found


def _some_headers(random: Random) -> Values:
    return {name: random.choice(HEADERS[name]) for name in HEADERS if random.random() < 0.35}


def bad_queue(random: Random, quorum: bool) -> Values:
    """Flags and arguments of a queue.declare that fails, mostly."""
    values: Values = {"durable": random.random() < 0.7}
    arguments: Values = {}
    if random.random() < 0.4:
        arguments["x-queue-type"] = "quorum" if quorum else "classic"
    for name in random.sample(list(BAD), random.choice((1, 1, 2))):
        arguments[name] = random.choice(BAD[name])
    if random.random() < 0.15:
        values[random.choice(("exclusive", "auto_delete"))] = True
    return values | {"arguments": arguments}


PROPERTIES: Final[tuple[tuple[str, float, tuple[Any, ...]], ...]] = (
    ("content_type", 0.15, ("text/plain", "", "x" * 255)),
    ("content_encoding", 0.05, ("utf-8",)),
    ("delivery_mode", 0.3, (1, 2, 2)),
    ("priority", 0.25, (0, 1, 2, 3, 9, 200, 255)),
    ("correlation_id", 0.1, ("one", "")),
    ("reply_to", 0.05, ("@q1",)),
    ("expiration", 0.12, ("0", "600000", "0600000")),
    ("message_id", 0.05, ("id",)),
    ("timestamp", 0.05, (0, 1_600_000_000, 2**63)),
    ("type", 0.05, ("kind",)),
    ("user_id", 0.05, ("guest",)),
    ("app_id", 0.05, ("app",)),
    ("cluster_id", 0.03, ("cluster",)),
)

TYPE_ARGUMENTS: Final[dict[str, tuple[Values, ...]]] = {
    "x-recent-history": ({}, {"x-recent-history-length": 1}, {"x-recent-history-length": ("l", 2)}),
    "x-consistent-hash": ({}, {"hash-header": "n"}, {"hash-property": "message_id"}, {"hash-property": "timestamp"}),
}

HEADERS: Final[dict[str, tuple[Any, ...]]] = {
    "n": (1, 2, ("l", 1), ("b", 1), ("s", 2), -1),
    "s": ("one", "two", ""),
    "t": (True, False),
    "v": (None,),
    "x-n": (1, "one"),
    "x-recent-history-no-store": (True, True, False, 1),
    "deep": ({"list": [1, "a", None, {"more": True}], "when": ("T", 5)}, [1, 2], []),
    "odd": (b"\x00\xff", ("D", (2, 314)), 1.5, ("f", 0.5), ("i", 4_000_000_000), ("u", 65535), ("B", 255)),
}

_INTEGERS: Final = (-1, "1", True, 1.0, ("T", 1), ("l", 10**12), None)
BAD: Final[dict[str, tuple[Any, ...]]] = {
    "x-message-ttl": _INTEGERS,
    "x-expires": (*_INTEGERS, 0),
    "x-max-length": (-1, "1", True, 1.5, ("D", (0, 1))),
    "x-max-length-bytes": (-1, "1", False),
    "x-overflow": ("drop-tail", 1, ""),
    "x-dead-letter-exchange": (1, True, None),
    "x-dead-letter-routing-key": ("a", 1),
    "x-dead-letter-strategy": ("at-most-once", "at-least-twice", 1),
    "x-max-priority": (-1, 256, "1", 1.0),
    "x-queue-mode": ("eager", 1),
    "x-queue-version": (0, 3, "2"),
    "x-queue-type": ("classical", "", 1),
    "x-single-active-consumer": (1, "true"),
    "x-quorum-initial-group-size": (0, "1", 1),
    "x-max-in-memory-length": (-1, "1", 5),
    "x-max-age": ("1h", "1"),
    "x-initial-cluster-size": (0, 1),
    "x-stream-max-segment-size-bytes": (1, ("l", 10**10)),
    "x-anything": (1, "a"),
}

MISTAKES: Final[tuple[tuple[str, Values], ...]] = (
    ("basic.publish", {"exchange": "@missing", "routing_key": "a", "body": "lost"}),
    ("basic.publish", {"routing_key": "@q1", "immediate": True, "body": "lost"}),
    ("basic.publish", {"routing_key": "@q1", "properties": {"expiration": "soon"}, "body": "lost"}),
    ("basic.publish", {"routing_key": "@q1", "properties": {"expiration": "-1"}, "body": "lost"}),
    ("basic.publish", {"routing_key": "@q1", "properties": {"expiration": "1.5"}, "body": "lost"}),
    ("basic.publish", {"routing_key": "@q1", "properties": {"expiration": "999999999999"}, "body": "lost"}),
    ("basic.publish", {"routing_key": "@q1", "properties": {"user_id": "somebody"}, "body": "lost"}),
    ("basic.publish", {"routing_key": "@q1", "properties": {"headers": {"CC": "@q1"}}, "body": "lost"}),
    ("basic.publish", {"routing_key": "@q1", "properties": {"headers": {"BCC": 1}}, "body": "lost"}),
    ("basic.publish", {"routing_key": "@q1", "properties": {"delivery_mode": 3}, "body": "lost"}),
    ("basic.publish", {"routing_key": "@q1", "properties": {"reply_to": "amq.rabbitmq.reply-to"}, "body": "lost"}),
    ("basic.consume", {"queue": "@missing", "consumer_tag": "lost"}),
    ("basic.consume", {"queue": "", "consumer_tag": "lost"}),
    ("basic.consume", {"queue": "@q1", "consumer_tag": "c1"}),
    ("basic.consume", {"queue": "amq.rabbitmq.reply-to", "consumer_tag": "reply"}),
    ("basic.get", {"queue": "@missing"}),
    ("basic.get", {"queue": ""}),
    ("basic.qos", {"prefetch_size": 1}),
    ("basic.recover", {"requeue": False}),
    ("basic.cancel", {"consumer_tag": "nobody"}),
    ("channel.flow", {"active": False}),
    ("channel.open", {}),
    ("confirm.select", {}),
    ("tx.select", {}),
    ("tx.commit", {}),
    ("tx.rollback", {}),
    ("queue.declare", {"queue": "amq.mine"}),
    ("queue.declare", {"queue": "", "passive": True}),
    ("queue.purge", {"queue": "@missing"}),
    ("queue.delete", {"queue": "@missing"}),
    ("queue.bind", {"queue": "@q1", "exchange": "", "routing_key": "a"}),
    ("queue.bind", {"queue": "@missing", "exchange": "@missing", "routing_key": "a"}),
    ("queue.bind", {"queue": "@missing", "exchange": "amq.direct", "routing_key": "a"}),
    ("queue.unbind", {"queue": "@missing", "exchange": "amq.direct", "routing_key": "a"}),
    ("exchange.declare", {"exchange": "amq.mine", "type": "direct"}),
    ("exchange.declare", {"exchange": "", "type": "direct"}),
    ("exchange.declare", {"exchange": "amq.direct", "type": "direct", "durable": True}),
    ("exchange.declare", {"exchange": "amq.direct", "type": "fanout", "durable": True}),
    ("exchange.declare", {"exchange": "@e9", "type": "circular"}),
    ("exchange.declare", {"exchange": "@e9", "type": "direct", "arguments": {"alternate-exchange": 1}}),
    ("exchange.declare", {"exchange": "@e9", "type": "x-recent-history", "arguments": {"x-recent-history-length": 0}}),
    (
        "exchange.declare",
        {"exchange": "@e9", "type": "x-recent-history", "arguments": {"x-recent-history-length": "1"}},
    ),
    ("exchange.declare", {"exchange": "@e9", "type": "x-consistent-hash", "arguments": {"hash-property": "type"}}),
    ("exchange.declare", {"exchange": "@e9", "type": "x-consistent-hash", "arguments": {"hash-header": 1}}),
    (
        "exchange.declare",
        {
            "exchange": "@e9",
            "type": "x-consistent-hash",
            "arguments": {"hash-header": "n", "hash-property": "message_id"},
        },
    ),
    ("exchange.declare", {"exchange": "@missing", "type": "direct", "passive": True}),
    ("exchange.delete", {"exchange": "amq.direct"}),
    ("exchange.delete", {"exchange": ""}),
    ("exchange.delete", {"exchange": "@missing"}),
    ("exchange.bind", {"destination": "@missing", "source": "amq.direct"}),
    ("exchange.bind", {"destination": "amq.direct", "source": "@missing"}),
)
