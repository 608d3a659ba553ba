"""Dead letters look as RabbitMQ 4.0.5's did, and histories count and order deaths as it does.

The rows are its recorded answers, named after their probes: what a consumer got of a message that died in queue ``g``
(published to the default exchange) and went on through exchange ``gx``. Values stand with their type tags.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpd.broker.deaths import DELIVERY_LIMIT, EXPIRED, MAXLEN, REJECTED, Death, DeathHistory, dead_letter
from amqpd.broker.message import Message, make_message
from amqpd.wire.properties import EMPTY_PROPERTIES, Properties
from amqpd.wire.table import Field, Table

NOW = 1_700_000_000
Typed = tuple[str, Any]


def typed(field: Field) -> Typed:
    """A field as the rows write it."""
    value = field.value
    if isinstance(value, Table):
        return field.tag, {name: typed(entry) for name, entry in value.items()}
    if isinstance(value, tuple):
        return field.tag, [typed(element) for element in value if isinstance(element, Field)]
    return field.tag, value


def seen(message: Message) -> dict[str, Any]:
    """A message's properties as the rows write them."""
    properties: dict[str, Any] = dict(message.properties.items())
    headers = message.properties.headers
    if headers is not None:
        properties["headers"] = {name: typed(field) for name, field in headers.items()}
    return properties


def entry(queue: str, reason: str, *keys: str, count: int = 1, expiration: str = "", exchange: str = "") -> Typed:
    """One row of x-death."""
    fields: dict[str, Typed] = {"original-expiration": ("S", expiration)} if expiration else {}
    fields["count"] = ("l", count)
    fields["reason"] = ("S", reason)
    fields["queue"] = ("S", queue)
    fields["time"] = ("T", NOW)
    fields["exchange"] = ("S", exchange)
    fields["routing-keys"] = ("A", [("S", key) for key in keys])
    return "F", fields


def headers_of(*deaths: Typed, first: str, last: str, reasons: tuple[str, str], **others: Typed) -> dict[str, Typed]:
    """The headers of a dead letter that was published to the default exchange every time."""
    return {
        **others,
        "x-death": ("A", list(deaths)),
        "x-first-death-exchange": ("S", ""),
        "x-first-death-queue": ("S", first),
        "x-first-death-reason": ("S", reasons[0]),
        "x-last-death-exchange": ("S", ""),
        "x-last-death-queue": ("S", last),
        "x-last-death-reason": ("S", reasons[1]),
    }


def in_g(reason: str, *keys: str, expiration: str = "", **others: Typed) -> dict[str, Typed]:
    """The headers after one death in queue g."""
    death = entry("g", reason, *(keys or ("g",)), expiration=expiration)
    return headers_of(death, first="g", last="g", reasons=(reason, reason), **others)


def die(
    message: Message,
    history: DeathHistory | None = None,
    queue: str = "g",
    reason: str = REJECTED,
    exchange: str = "gx",
    routing_key: str | None = None,
    time: int = NOW,
) -> tuple[Message, DeathHistory]:
    return dead_letter(message, history, queue, reason, exchange, routing_key, time)


def published(key: str = "g", exchange: str = "", **properties: Any) -> Message:
    return make_message(exchange, key, Properties.of(**properties), b"0")


ZZ = ("A", [("S", "zz")])
ONE_DEATH: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("G01", REJECTED, {}, {"headers": in_g(REJECTED)}),
    (
        "G02",
        REJECTED,
        {"headers": {"k": 1, "CC": ["zz"]}, "expiration": "60000", "message_id": "m"},
        {"headers": in_g(REJECTED, "g", "zz", expiration="60000", k=("I", 1), CC=ZZ), "message_id": "m"},
    ),
    ("G03", EXPIRED, {}, {"headers": in_g(EXPIRED)}),
    ("G04", EXPIRED, {"expiration": "50"}, {"headers": in_g(EXPIRED, expiration="50")}),
    ("G05", MAXLEN, {}, {"headers": in_g(MAXLEN)}),
    ("G07", MAXLEN, {}, {"headers": in_g(MAXLEN)}),
    ("G09", REJECTED, {"headers": {"CC": ["g"]}}, {"headers": in_g(REJECTED, "g", "g", CC=("A", [("S", "g")]))}),
    (
        "G17",
        REJECTED,
        {
            "headers": {
                "x-death": [
                    {
                        "count": Field.long(5),
                        "reason": REJECTED,
                        "queue": "g",
                        "time": Field("T", 1),
                        "exchange": "",
                        "routing-keys": ["g"],
                    }
                ],
                "x-first-death-queue": "zz",
            }
        },
        {"headers": in_g(REJECTED)},
    ),
    ("G18", REJECTED, {"headers": {"x-death": "foo"}}, {"headers": in_g(REJECTED)}),
    ("G20", REJECTED, {}, {"headers": in_g(REJECTED)}),
    ("G21", EXPIRED, {}, {"headers": in_g(EXPIRED)}),
    ("G22", MAXLEN, {}, {"headers": in_g(MAXLEN)}),
    ("G23", DELIVERY_LIMIT, {}, {"headers": in_g(DELIVERY_LIMIT)}),
    ("G24", REJECTED, {}, {"headers": in_g(REJECTED)}),
    ("G25", DELIVERY_LIMIT, {}, {"headers": in_g(DELIVERY_LIMIT)}),
    (
        "G27",
        REJECTED,
        {"delivery_mode": 2, "priority": 3, "user_id": "guest", "timestamp": 5, "type": "t", "reply_to": "rt"},
        {
            "headers": in_g(REJECTED),
            "delivery_mode": 2,
            "priority": 3,
            "reply_to": "rt",
            "timestamp": 5,
            "type": "t",
            "user_id": "guest",
        },
    ),
]


@pytest.mark.parametrize(("probe", "reason", "sent", "got"), ONE_DEATH, ids=[row[0] for row in ONE_DEATH])
def test_a_dead_letter_is_rabbitmqs(probe: str, reason: str, sent: dict[str, Any], got: dict[str, Any]) -> None:
    letter, _ = die(published(**sent), reason=reason)
    assert (letter.exchange, letter.routing_key, letter.body) == ("gx", "g", b"0")
    assert seen(letter) == got


def test_g08_a_dead_letter_routing_key_replaces_the_own_one_and_cc_stays() -> None:
    letter, history = die(published(headers={"CC": ["zz"], "k": 1}), routing_key="newrk")
    assert (letter.exchange, letter.routing_key) == ("gx", "newrk")
    assert seen(letter) == {"headers": in_g(REJECTED, "g", "zz", CC=ZZ, k=("I", 1))}
    assert history.routing_keys == ("newrk",)


def test_g10_bcc_is_in_neither_headers_nor_routing_keys() -> None:
    letter, history = die(published("other", headers={"CC": ["c1"], "BCC": ["g"]}))
    assert seen(letter) == {"headers": in_g(REJECTED, "other", "c1", CC=("A", [("S", "c1")]))}
    assert history.routing_keys == ("other", "c1")


def test_g12_the_default_exchange_takes_dead_letters() -> None:
    letter, _ = die(published(), exchange="", routing_key="gdl")
    assert (letter.exchange, letter.routing_key) == ("", "gdl")
    assert seen(letter) == {"headers": in_g(REJECTED)}


def test_g14_rejections_may_go_on_for_ever_and_are_counted() -> None:
    message, history = published("g14"), None
    for count in (1, 2, 3):
        message, history = die(message, history, "g14", exchange="")
        death = entry("g14", REJECTED, "g14", count=count)
        assert seen(message)["headers"] == headers_of(death, first="g14", last="g14", reasons=(REJECTED, REJECTED))
        assert not history.would_cycle("g14")


@pytest.mark.parametrize(("probe", "reason"), [("G15", EXPIRED), ("G28", MAXLEN)])
def test_a_message_that_would_come_back_by_itself_is_in_a_cycle(probe: str, reason: str) -> None:
    _, history = die(published("q"), None, "q", reason, exchange="")
    assert history.would_cycle("q")
    assert not history.would_cycle("another")


def test_g16_a_retry_loop_of_two_queues_counts_in_each_and_shows_the_latest_first() -> None:
    message, history = published("ga", expiration="30"), None
    for count in (1, 2, 3):
        message, history = die(message, history, "ga", EXPIRED, "", "gb")
        deaths = [entry("ga", EXPIRED, "ga", count=count, expiration="30")]
        if count > 1:
            deaths.append(entry("gb", REJECTED, "gb", count=count - 1))
        assert seen(message) == {"headers": headers_of(*deaths, first="ga", last="ga", reasons=(EXPIRED, EXPIRED))}
        assert not history.would_cycle("gb")
        message, history = die(message, history, "gb", REJECTED, "", "ga")
        assert not history.would_cycle("ga")


def test_the_fields_of_a_death_come_in_the_order_of_4_0() -> None:
    order = ["count", "reason", "queue", "time", "exchange", "routing-keys"]
    for expiration in (None, "5"):
        table = Death("q", EXPIRED, "x", ("k",), NOW, expiration).field().value
        assert isinstance(table, Table)
        assert [name for name, _ in table.items()] == ["original-expiration"] * (expiration is not None) + order


def test_a_further_death_keeps_what_is_known_about_the_first_of_its_kind() -> None:
    first, history = die(published("k", "x", expiration="7"), queue="q", time=NOW)
    _, history = die(first, history, "q", routing_key="new", time=NOW + 60)
    death = history.deaths[0]
    assert (death.count, death.exchange, death.routing_keys, death.time) == (2, "x", ("k",), NOW)
    assert death.original_expiration == "7"


def test_first_and_last_death_name_the_exchange_of_their_own_time() -> None:
    letter, history = die(published("k", "x"), queue="a", exchange="y")
    letter, history = die(letter, history, "b", EXPIRED, "z")
    letter, history = die(letter, history, "a", exchange="end")
    assert (history.first.queue, history.first.reason, history.first.exchange) == ("a", REJECTED, "x")
    assert (history.last.queue, history.last.reason, history.last.exchange) == ("a", REJECTED, "z")
    headers = letter.properties.headers
    assert headers is not None
    assert headers.text("x-first-death-exchange") == "x"
    assert headers.text("x-last-death-exchange") == "z"
    assert [(death.queue, death.exchange) for death in history.deaths] == [("a", "x"), ("b", "y")]


def test_cc_routes_until_a_dead_letter_routing_key_took_its_place() -> None:
    """Later queues without a key of their own then go by that key alone, though consumers still see the header."""
    letter, history = die(published("k", headers={"CC": ["c"]}), queue="a")
    assert history.routing_keys == ("k", "c")
    letter, history = die(letter, history, "b", routing_key="new")
    letter, history = die(letter, history, "c")
    assert history.routing_keys == ("new",)
    assert history.deaths[0].routing_keys == ("new",)
    assert letter.routing_key == "new"
    assert letter.properties.headers is not None
    assert "CC" in letter.properties.headers


def test_only_strings_in_cc_are_routing_keys() -> None:
    _, history = die(published(headers={"CC": ["a", 1, b"x", "b"]}))
    assert history.deaths[0].routing_keys == ("g", "a", "b")


def test_untouched_headers_and_properties_keep_their_octets() -> None:
    """Field types that Python's values do not tell apart, and the order in which the publisher wrote them."""
    table = Table.of({"z": Field("L", 1), "x-death": 1, "a": Field("s", 2), "m": {"n": [Field("B", 3)]}})
    message = published(content_type="text/plain", headers=table, app_id="app")
    letter, history = die(message)
    headers = letter.properties.headers
    assert headers is not None
    assert headers.raw == table.replaced(history.headers()).raw
    assert [name for name, _ in headers.items()][:4] == ["z", "x-death", "a", "m"]
    assert letter.properties.replaced(headers=None).raw == message.properties.replaced(headers=None).raw


def test_the_dead_message_itself_is_not_changed() -> None:
    """Other queues have it too."""
    message = published(headers={"k": 1}, expiration="5")
    before = (message.route, message.properties.raw, message.content_for(1, 0))
    die(message, routing_key="new")
    assert (message.route, message.properties.raw, message.content_for(1, 0)) == before


def test_a_message_without_properties_gets_headers() -> None:
    letter, history = die(make_message("", "g", EMPTY_PROPERTIES, b""))
    assert letter.properties.headers == Table.of(history.headers())


@pytest.mark.parametrize(
    ("key", "carried"),
    [("k" * 255, "k" * 255), ("k" * 300, "k" * 255), ("\u00e9" * 128, "\u00e9" * 127), ("\udcff" * 3, "\udcff" * 3)],
)
def test_a_dead_letter_routing_key_is_cut_to_what_a_delivery_can_carry(key: str, carried: str) -> None:
    letter, history = die(published(), routing_key=key)
    assert letter.routing_key == carried
    assert history.routing_keys == (carried,)


# A history is what a list of deaths would tell.

deaths_in_order = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([REJECTED, EXPIRED, MAXLEN])), min_size=1)


def history_of(deaths: list[tuple[str, str]]) -> DeathHistory:
    history: DeathHistory | None = None
    message = published()
    for time, (queue, reason) in enumerate(deaths):
        message, history = die(message, history, queue, reason, time=time)
    assert history is not None
    return history


@given(deaths_in_order)
def test_every_death_is_counted_once_and_the_most_recent_stand_in_front(deaths: list[tuple[str, str]]) -> None:
    history = history_of(deaths)
    newest_first = list(dict.fromkeys(reversed(deaths)))
    assert [(death.queue, death.reason) for death in history.deaths] == newest_first
    for death in history.deaths:
        assert death.count == deaths.count((death.queue, death.reason))
        assert death.time == deaths.index((death.queue, death.reason))
    assert (history.first.queue, history.first.reason) == deaths[0]
    assert (history.last.queue, history.last.reason) == deaths[-1]


@given(deaths_in_order, st.sampled_from("abcd"))
def test_a_cycle_has_the_target_in_it_and_no_rejection_since(deaths: list[tuple[str, str]], target: str) -> None:
    """Said another way than the code does: cut the history behind the target's entry, then look at the reasons."""
    newest_first = list(dict.fromkeys(reversed(deaths)))
    queues = [queue for queue, _ in newest_first]
    since = newest_first[: queues.index(target) + 1] if target in queues else []
    expected = bool(since) and all(reason != REJECTED for _, reason in since)
    assert history_of(deaths).would_cycle(target) is expected
    if deaths[-1][1] == REJECTED:
        assert not expected, "a rejected message may go anywhere"


@given(deaths_in_order)
def test_a_recorded_death_leaves_the_older_history_as_it_was(deaths: list[tuple[str, str]]) -> None:
    """The same history may belong to copies of the message in several queues."""
    history = history_of(deaths)
    before = history.headers()
    history.recorded(Death("a", REJECTED, "", ("k",), 1), ("k",))
    assert history.headers() == before
