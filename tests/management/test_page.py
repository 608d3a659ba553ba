"""Lists: paging, filter, sort, columns, and long ones that are streamed."""

from __future__ import annotations

import json

import pytest
from pamqp import commands

from amqpd.management import render
from amqpd.management.answer import ABSENT
from amqpd.management.auth import ANONYMOUS
from amqpd.management.rates import Rates
from amqpd.management.request import Request
from amqpd.management.resources import channels, exchanges, queues
from amqpd.management.sorting import sort_key
from tests.management.api import API, error


@pytest.fixture
def api() -> API:
    api = API()
    client = api.world.client()
    client.open()
    for number, name in enumerate(["b", "A2", "a1", "c.d"]):
        client.declare(name)
        for _ in range(number):
            client.publish(1, "", name, b"x")
    return api


def names(rows: list[dict[str, object]]) -> list[object]:
    return [row["name"] for row in rows]


def test_a_list_without_page_is_whole_and_sorted_by_name(api: API) -> None:
    assert names(api.get("/queues").json()) == ["A2", "a1", "b", "c.d"]


def test_a_page_has_an_envelope(api: API) -> None:
    found = api.get("/queues?page=2&page_size=3&columns=name").json()
    assert found == {
        "filtered_count": 4,
        "item_count": 1,
        "items": [{"name": "c.d"}],
        "page": 2,
        "page_count": 2,
        "page_size": 3,
        "total_count": 4,
    }


def test_a_page_holds_100_unless_told_otherwise(api: API) -> None:
    assert api.get("/queues?page=1").json()["page_size"] == 100


def test_nothing_found_is_an_empty_first_page(api: API) -> None:
    found = api.get("/queues?page=1&name=nothing").json()
    assert (found["items"], found["page_count"], found["filtered_count"], found["total_count"]) == ([], 0, 0, 4)


@pytest.mark.parametrize(
    ("query", "kind", "reason"),
    [
        ("page=3&page_size=2", "page_out_of_range", "Page out of range, page: 3 page size: 2, len: 4"),
        ("page=abc", "bad_request", "Pagination parameters are invalid"),
        ("page=1&page_size=", "bad_request", "Pagination parameters are invalid"),
        (
            "page=1&page_size=501",
            "invalid_pagination_parameters",
            "Invalid pagination parameters: page number 1, page size 501",
        ),
        (
            "page=0",
            "invalid_pagination_parameters",
            "Invalid pagination parameters: page number 0, page size undefined",
        ),
    ],
)
def test_pages_that_cannot_be_are_refused_in_rabbitmqs_words(api: API, query: str, kind: str, reason: str) -> None:
    assert error(api.get(f"/queues?{query}")) == (400, kind, reason)


def test_a_name_is_filtered_by_only_on_pages_and_whatever_its_case(api: API) -> None:
    assert names(api.get("/queues?page=1&name=a").json()["items"]) == ["A2", "a1"]
    assert len(api.get("/queues?name=a").json()) == 4


def test_a_name_may_be_a_regular_expression(api: API) -> None:
    assert names(api.get("/queues?page=1&use_regex=true&name=%5E%5Bab%5D").json()["items"]) == ["A2", "a1", "b"]
    assert names(api.get("/queues?page=1&name=.").json()["items"]) == ["c.d"]  # not without use_regex


def test_a_regular_expression_that_is_none_is_refused(api: API) -> None:
    status, kind, reason = error(api.get("/queues?page=1&use_regex=true&name=%5B"))
    assert (status, kind) == (400, "bad_request")
    assert reason.startswith("Invalid regular expression: ")


def test_a_regular_expression_that_would_take_years_is_refused(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amqpd.management.matching.SECONDS", 0.05)
    api.put("/queues/%2F/" + "a" * 200)
    refused = error(api.get("/queues?page=1&use_regex=true&name=(a%7Caa)%2Bb$"))
    assert refused == (400, "bad_request", "The regular expression takes more than 0.05 s.")
    assert error(api.get("/queues?page=1&use_regex=true&name=" + "a" * 1001))[0] == 400


def test_what_rabbitmq_does_not_page_is_a_list_whatever_is_asked_for(api: API) -> None:
    for path in ("/bindings", "/consumers", "/nodes"):
        assert isinstance(api.get(f"{path}?page=1").json(), list)


def test_rows_can_be_sorted_by_a_column(api: API) -> None:
    assert names(api.get("/queues?sort=messages").json()) == ["b", "A2", "a1", "c.d"]
    assert names(api.get("/queues?sort=messages&sort_reverse=true").json()) == ["c.d", "a1", "A2", "b"]
    paged = api.get("/queues?page=1&page_size=2&sort=messages&sort_reverse=true").json()
    assert names(paged["items"]) == ["c.d", "a1"]


def test_what_a_row_does_not_have_sorts_as_0(api: API) -> None:
    assert names(api.get("/queues?sort=message_stats.publish&sort_reverse=true").json()) == ["c.d", "a1", "A2", "b"]
    assert len(api.get("/queues?sort=no.such.thing").json()) == 4


def test_an_empty_sort_is_none(api: API) -> None:
    assert names(api.get("/queues?sort=").json()) == ["A2", "a1", "b", "c.d"]


def test_values_of_every_kind_can_be_compared() -> None:
    values = [1, 2.5, "b", "a", None, True, {"x": 1}, [1]]
    assert sorted(values, key=sort_key) == [1, 2.5, None, True, [1], {"x": 1}, "a", "b"]


def test_columns_choose_keys_on_lists_single_objects_and_pages(api: API) -> None:
    assert api.get("/queues/%2F/b?columns=name,nosuch,vhost").json() == {"name": "b", "vhost": "/"}
    assert api.get("/queues?columns=name&sort=name").json()[0] == {"name": "A2"}
    assert api.get("/queues?page=1&columns=messages").json()["items"][0] == {"messages": 1}


def test_columns_reach_into_objects_and_lists(api: API) -> None:
    client = api.world.client()
    client.open()
    client.send(1, commands.Basic.Consume, queue="b", consumer_tag="t")
    found = api.get("/queues/%2F/b?columns=message_stats.publish,consumer_details.channel_details.number").json()
    assert found == {"consumer_details": [{"channel_details": {"number": 1}}]}
    assert api.get("/overview?columns=queue_totals.messages,nosuch.x").json() == {"queue_totals": {"messages": 6}}


def test_disable_stats_leaves_what_was_declared_and_totals_may_come_back(api: API) -> None:
    bare = api.get("/queues?disable_stats=true").json()[0]
    assert {"name", "vhost", "durable", "arguments", "type"} < set(bare)
    assert not {"messages", "message_stats", "memory", "consumers"} & set(bare)
    totals = api.get("/queues?disable_stats=true&enable_queue_totals=true").json()[0]
    assert set(totals) - set(bare) == {"messages", "messages_ready", "messages_unacknowledged"}


def test_a_long_list_is_streamed_and_the_same(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = api.get("/queues")
    monkeypatch.setattr(render, "LONG", 1000)
    monkeypatch.setattr(render, "CHUNK", 100)
    streamed = api.get("/queues")
    assert "content-length" in whole.headers
    assert "content-length" not in streamed.headers
    assert json.loads(streamed.content) == whole.json()
    assert streamed.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "query",
    ["lengths_age=60&lengths_incr=0", "msg_rates_age=x&msg_rates_incr=1", "node_stats_age=501&node_stats_incr=1"],
)
def test_samples_that_cannot_be_are_refused(api: API, query: str) -> None:
    status, kind, reason = error(api.get(f"/overview?{query}"))
    assert (status, kind) == (400, "bad_request")
    assert reason.startswith("Invalid range parameters: age ")


def test_x_vhost_narrows_lists_to_one_vhost(api: API) -> None:
    assert api.get("/queues", **{"x-vhost": "other"}).json() == []
    assert len(api.get("/queues", **{"x-vhost": "/"}).json()) == 4


def test_rows_are_sorted_by_one_counter_without_making_the_others(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*arguments: object) -> object:
        raise AssertionError

    monkeypatch.setattr(Rates, "details", none)
    assert names(api.get("/queues?columns=name&sort=message_stats.publish").json()) == ["b", "A2", "a1", "c.d"]
    assert len(api.get("/queues?columns=name&sort=message_stats.publish_details.rate").json()) == 4


@pytest.mark.parametrize("resource", ["queues", "exchanges", "channels"])
def test_one_key_of_message_stats_is_what_the_row_says(api: API, resource: str) -> None:
    request = Request(api.node, ANONYMOUS, {}, {}, {})
    client = api.world.client()
    client.open()
    client.publish(1, "amq.fanout", "x", b"x")
    columns, item = {
        "queues": (queues.COLUMNS, api.world.vhost.queues["c.d"]),
        "exchanges": (
            exchanges.COLUMNS,
            exchanges.ExchangeIn(api.world.vhost.exchanges["amq.fanout"], api.world.vhost),
        ),
        "channels": (channels.COLUMNS, client.connection.channels.all()[0]),
    }[resource]
    whole = columns.row(request, item)["message_stats"]
    assert isinstance(whole, dict)
    assert whole
    for key, value in whole.items():
        assert columns.value(request, item, ["message_stats", key]) == value
    assert columns.value(request, item, ["message_stats", "no_such"]) is ABSENT
    assert columns.value(request, item, ["message_stats"]) == whole
    ranges = Request(api.node, ANONYMOUS, {}, {"msg_rates_age": "10", "msg_rates_incr": "5"}, {})
    details = columns.row(ranges, item)["message_stats"]
    assert isinstance(details, dict)
    assert columns.value(ranges, item, ["message_stats", "publish_in_details"]) == details.get(
        "publish_in_details", ABSENT
    )
    assert columns.value(ranges, item, ["message_stats", "publish_details"]) == details.get("publish_details", ABSENT)
