"""Runtime and global parameters over HTTP."""

from __future__ import annotations

import pytest

from tests.management.api import API, error


@pytest.fixture
def api() -> API:
    return API()


def test_the_limits_of_a_vhost_are_a_parameter(api: API) -> None:
    path = "/parameters/vhost-limits/%2F/limits"
    assert api.put(path, {"value": {"max-queues": 5}, "name": "limits"}).status_code == 201
    assert api.put(path, {"value": {"max-queues": 6}}).status_code == 204
    row = {"value": {"max-queues": 6}, "vhost": "/", "component": "vhost-limits", "name": "limits"}
    assert api.get(path).json() == row
    for listing in ("/parameters", "/parameters/vhost-limits", "/parameters/vhost-limits/%2F"):
        assert api.get(listing).json() == [row]
    assert api.world.broker.vhosts["/"].max_queues == 6
    assert api.delete(path).status_code == 204
    assert api.delete(path).status_code == 404
    assert api.get(path).status_code == 404


def test_operator_policies_are_parameters_too(api: API) -> None:
    value = {"pattern": "^a", "definition": {"max-length": 5}, "priority": 0, "apply-to": "queues"}
    assert api.put("/parameters/operator_policy/%2F/o", {"value": value}).status_code == 201
    assert api.get("/operator-policies/%2F/o").json()["definition"] == {"max-length": 5}
    assert api.get("/parameters/operator_policy/%2F/o").json()["value"] == value


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/parameters/shovel/%2F/s", {"value": {}}, "Validation failed\n\ncomponent shovel not found\n"),
        ("/parameters/policy/%2F/p", {"value": {}}, "policies may not be set using this method"),
        ("/parameters/vhost-limits/%2F/limits", {}, "[{key_missing,value}]"),
        (
            "/parameters/vhost-limits/%2F/limits",
            {"value": {"max-queues": "a"}},
            'Validation failed\n\nmax-queues should be a number, actually was <<"a">>\n',
        ),
        ("/global-parameters/g", {}, "[{key_missing,value}]"),
        ("/global-parameters/cluster_name", {"value": 5}, "the cluster name is a text."),
    ],
)
def test_what_cannot_be_a_parameter_is_refused(api: API, path: str, body: dict[str, object], reason: str) -> None:
    assert error(api.put(path, body)) == (400, "bad_request", reason)


def test_unknown_components_have_no_parameters(api: API) -> None:
    assert api.get("/parameters/nosuch").json() == []
    assert api.get("/parameters/nosuch/nope").status_code == 404


def test_global_parameters_hold_any_json(api: API) -> None:
    assert api.put("/global-parameters/g", {"value": {"a": [1, None]}}).status_code == 201
    assert api.put("/global-parameters/g", {"value": None}).status_code == 204
    assert api.get("/global-parameters/g").json() == {"name": "g", "value": None}
    assert api.get("/global-parameters").json() == [{"name": "g", "value": None}]
    assert api.delete("/global-parameters/g").status_code == 204
    assert api.delete("/global-parameters/g").status_code == 404
    assert api.get("/global-parameters/g").status_code == 404


def test_parameters_are_for_policymakers(api: API) -> None:
    manager = api.add_user("manager", "management")
    maker = api.add_user("maker", "policymaker")
    assert error(api.get("/parameters", manager))[0] == 401
    assert api.get("/parameters", maker).json() == []
    assert api.put("/global-parameters/g", {"value": 1}, maker).status_code == 201
