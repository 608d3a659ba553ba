"""Feature flags and deprecated features over HTTP."""

from __future__ import annotations

from tests.management.api import API, error

PROBED = {"quorum_queue", "stream_queue", "virtual_host_metadata", "user_limits", "detailed_queues_endpoint"}


def test_every_flag_is_enabled_in_rabbitmqs_shape() -> None:
    rows = API().get("/feature-flags").json()
    assert {row["name"] for row in rows} >= PROBED
    assert {row["state"] for row in rows} == {"enabled"}
    assert {tuple(row) for row in rows} == {("name", "desc", "doc_url", "state", "stability", "provided_by")}


def test_a_flag_can_be_enabled_again_but_not_made() -> None:
    api = API()
    assert api.put("/feature-flags/quorum_queue/enable").status_code == 204
    assert error(api.put("/feature-flags/nope/enable")) == (400, "bad_request", "unsupported")


def test_nothing_is_deprecated() -> None:
    api = API()
    assert api.get("/deprecated-features").json() == api.get("/deprecated-features/used").json() == []
