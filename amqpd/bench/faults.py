"""What can go wrong with a run, as sentences with the way out.

Rule: what may live here turns what the broker or the system said into one sentence; it decides nothing.
"""

from __future__ import annotations

from typing import Final

ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
PRECONDITION_FAILED: Final = 406
CONNECTION_FORCED: Final = 320
NOT_ALLOWED: Final = 530
NOT_IMPLEMENTED: Final = 540

# What a user can do about a refusal, by reply code.
CHANNEL_WAYS_OUT: Final = {
    ACCESS_REFUSED: "use a user with permissions for it in this virtual host",
    NOT_FOUND: "create it first, or leave its name away so that the benchmark makes its own",
    PRECONDITION_FAILED: "delete the queue, use the options it was declared with, or name another one",
    NOT_IMPLEMENTED: "this queue type does not support these options, choose others",
}
CONNECTION_WAYS_OUT: Final = {
    ACCESS_REFUSED: "check user and password in --uri; guest may only log in from the broker's own machine",
    NOT_ALLOWED: "check the virtual host in --uri, and the limits of user and virtual host",
    CONNECTION_FORCED: "an operator or the broker itself closed the connection; look into its log",
}
OTHER_WAY_OUT: Final = "look into the broker's log"


class BenchError(Exception):
    """The run cannot start or go on. Its text is one sentence with the way out."""


def connection_refused(code: int, text: str) -> str:
    """The broker closed a connection."""
    return f"The broker closed the connection ({code} {text}): {CONNECTION_WAYS_OUT.get(code, OTHER_WAY_OUT)}."


def channel_refused(code: int, text: str, what: str = "to go on") -> str:
    """The broker closed a channel."""
    return f"The broker refused {what} ({code} {text}): {CHANNEL_WAYS_OUT.get(code, OTHER_WAY_OUT)}."


def not_there(where: str, error: OSError | str) -> str:
    """No connection came about."""
    return f"No broker answers at {where} ({error}): start one, or name another with --uri."


def lost(where: str, reason: str, opened: bool) -> str:
    """A connection ended without a word."""
    if opened:
        return f"The connection to {where} was lost ({reason}): look whether the broker is running."
    return (
        f"{where} closed the connection before it was open ({reason}): "
        "check user and password, and that this is an AMQP port (amqps:// for one with TLS)."
    )


def cancelled(queue: str) -> str:
    """The broker cancelled a consumer."""
    return f"The broker cancelled the consumer of '{queue}': somebody deleted the queue during the run."
