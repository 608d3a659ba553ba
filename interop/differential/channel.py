"""One channel as the client sees it: what is unsettled, what waits for a confirm, what the running step brought in.

Rule: what may live here is client state of one channel, and the form in which what came in is compared: replies in
order, deliveries by consumer in order, returns in order, confirms as sets of numbers (how a broker merges them is its
own affair).
"""

from __future__ import annotations

from typing import Any, Final

from interop.differential.link import Event, Link
from interop.differential.program import Step

Observation = dict[str, Any]

# Methods without a reply. Those with `nowait` have one unless it is set.
UNANSWERED: Final = frozenset({"basic.publish", "basic.ack", "basic.nack", "basic.reject", "basic.recover_async"})
SETTLING: Final = frozenset({"basic.ack", "basic.nack", "basic.reject"})


class Channel:
    """A channel of a program.

    Args:
        number: its number on the connection.
        view: what came in during this step, before the channel was opened again.
    """

    def __init__(self, number: int, view: Observation | None = None) -> None:
        self.number = number
        self.open = False
        self.view: Observation = view or {}
        self._questions = 0  # flow_oks to come
        self._unanswered: list[Step] = []
        self._unsettled: list[tuple[int, str]] = []  # tag and consumer
        self._in_transaction: list[tuple[int, str]] | None = None
        self._unconfirmed: set[int] | None = None
        self._published = 0
        self._no_ack: dict[str, bool] = {}
        self._queues: set[str] = set()  # that something was consumed from

    @property
    def waiting(self) -> bool:
        """True while a reply or a sign of life is still to come."""
        return self.open and bool(self._questions or self._unanswered)

    def begin_step(self) -> None:
        """Forget what the last step brought about."""
        self.view = {}

    def opened(self, link: Link) -> None:
        """Open the channel."""
        self.open = True
        link.send(self.number, "channel.open")

    def ask(self, link: Link) -> None:
        """Ask for a sign of life: what the broker said before it has then been read."""
        if self.open:
            link.send(self.number, "channel.flow", active=True)
            self._questions += 1

    def closed(self) -> None:
        """The channel is gone."""
        self.open = False
        self._unanswered.clear()
        self._questions = 0

    def observed(self) -> Observation:
        """What came in during this step; the order between consumers, and so tags, only where it means something."""
        if len(self._queues) < 2:
            return self.view
        return (
            {**self.view, "deliveries": _without_tags(self.view["deliveries"])}
            if "deliveries" in self.view
            else self.view
        )

    # Sending.

    def send(self, link: Link, step: Step, values: dict[str, Any]) -> None:
        """Send a step.

        Args:
            link: the channel's connection.
            step: the step.
            values: its arguments as this broker gets them.
        """
        if step.method == "basic.publish":
            self._publish(link, values)
            return
        if step.method in SETTLING and not self._settle(step.method, values):
            return
        link.send(self.number, step.method, **values)
        if step.method not in UNANSWERED and not values.get("nowait"):
            self._unanswered.append(step)
        if step.method == "confirm.select" and self._unconfirmed is None:
            self._unconfirmed = set()
        if step.method == "tx.select" and self._in_transaction is None:
            self._in_transaction = []
        if step.method == "basic.consume":
            self._queues.add(values.get("queue", ""))
            if values.get("nowait"):
                self._no_ack[step.values["consumer_tag"]] = bool(values.get("no_ack"))

    def _publish(self, link: Link, values: dict[str, Any]) -> None:
        values = dict(values)
        properties, body = values.pop("properties", {}), values.pop("body", "")
        link.publish(self.number, values, properties, body.encode())
        if self._unconfirmed is not None:
            self._published += 1
            self._unconfirmed.add(self._published)

    def _settle(self, method: str, values: dict[str, Any]) -> bool:
        """Put the delivery tag in, and note what is settled. False: there is nothing to settle."""
        if "unacked" in values:
            place = values.pop("unacked")
            unsettled = self._in_order()
            if not unsettled:
                return False
            values["delivery_tag"] = unsettled[min(place, len(unsettled) - 1)][0]
        tag, multiple = values.get("delivery_tag", 0), values.get("multiple", False) and method != "basic.reject"
        settled = [d for d in self._unsettled if d[0] == tag or (multiple and (d[0] <= tag or tag == 0))]
        self._unsettled = [delivery for delivery in self._unsettled if delivery not in settled]
        if self._in_transaction is not None:
            self._in_transaction += settled
        return True

    def _in_order(self) -> list[tuple[int, str]]:
        """What is unsettled, oldest first; where tags mean nothing, consumer by consumer."""
        if len(self._queues) < 2:
            return sorted(self._unsettled)
        return sorted(self._unsettled, key=lambda delivery: (delivery[1], delivery[0]))

    # Receiving.

    def on_event(self, event: Event, values: dict[str, Any], properties: dict[str, Any]) -> Step | None:
        """Note a method that came in; returns the step that it answers, if it answers one.

        Args:
            event: as it came in.
            values: its arguments in neutral names.
            properties: its properties in neutral names.
        """
        content = {"properties": properties, "body": event.body.decode()}
        match event.name:
            case "channel.open_ok":
                return None
            case "channel.flow_ok" if not self._is_own_flow():
                self._questions -= 1
            case "basic.deliver":
                self._deliver(values, content)
            case "basic.return":
                self._note("returns", values | content)
            case "basic.ack" | "basic.nack":
                self._confirm(event.name, values["delivery_tag"], values["multiple"])
            case "basic.cancel":
                self._note("cancelled by the broker", values)
            case "channel.close":
                self.closed()
                self.view["closed by the broker"] = values
            case _:
                return self._reply(event.name, values | content if event.name == "basic.get_ok" else values)
        return None

    def _is_own_flow(self) -> bool:
        """Whether a flow_ok answers a step: one that the program sent comes before the sign of life."""
        return bool(self._unanswered) and self._unanswered[0].method == "channel.flow"

    def _note(self, kind: str, what: Any) -> None:
        self.view.setdefault(kind, []).append(what)

    def _reply(self, name: str, values: dict[str, Any]) -> Step | None:
        step = self._unanswered.pop(0) if self._unanswered else None
        self._note("replies", [name, values])
        match name:
            case "basic.get_ok" if step and not step.values.get("no_ack"):
                self._unsettled.append((values["delivery_tag"], ""))
            case "basic.consume_ok" if step:
                self._no_ack[values["consumer_tag"]] = bool(step.values.get("no_ack"))
            case "basic.recover_ok":
                self._unsettled.clear()
            case "tx.commit_ok":
                self._in_transaction = []
            case "tx.rollback_ok":
                self._unsettled = sorted(self._unsettled + (self._in_transaction or []))
                self._in_transaction = []
            case "channel.close_ok":
                self.closed()
        return step

    def _deliver(self, values: dict[str, Any], content: Observation) -> None:
        consumer = values["consumer_tag"]
        if consumer not in self._no_ack:
            self._note("delivered to nobody", values)
        elif not self._no_ack[consumer]:
            self._unsettled.append((values["delivery_tag"], consumer))
        self.view.setdefault("deliveries", {}).setdefault(consumer, []).append(values | content)

    def _confirm(self, name: str, number: int, multiple: bool) -> None:
        waiting = self._unconfirmed if self._unconfirmed is not None else set()
        covered = {n for n in waiting if n == number or (multiple and (n < number or number == 0))}
        if not covered:
            self._note("confirmed twice", [name, number, multiple])
        waiting -= covered
        kind = "acked" if name == "basic.ack" else "nacked"
        self.view[kind] = sorted({*self.view.get(kind, []), *covered})


def _without_tags(deliveries: dict[str, list[Observation]]) -> dict[str, list[Observation]]:
    return {
        consumer: [{name: value for name, value in one.items() if name != "delivery_tag"} for one in several]
        for consumer, several in deliveries.items()
    }
