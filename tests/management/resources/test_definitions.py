"""Definitions over HTTP."""

from __future__ import annotations

import json

import pytest

from tests.definitions.documents import WHOLE, whole
from tests.management.api import API, error

BOUNDARY = "----x"


@pytest.fixture
def api() -> API:
    return API()


def form(**parts: bytes) -> tuple[bytes, dict[str, str]]:
    """A body of multipart/form-data; the part ``file`` has a file's name."""
    pieces = []
    for name, content in parts.items():
        filename = '; filename="d.json"\r\nContent-Type: application/octet-stream' if name == "file" else ""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'
        pieces.append(head.encode() + content + b"\r\n")
    body = b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()
    return body, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def test_what_was_imported_is_exported(api: API) -> None:
    assert api.post("/definitions", whole()).status_code == 204
    found = api.get("/definitions").json()
    for section in ("queues", "exchanges", "bindings", "policies", "topic_permissions"):
        assert found[section] == WHOLE[section]
    assert api.get("/all-configuration").json() == found
    again = API()
    assert again.post("/definitions", found).status_code == 204
    assert again.get("/definitions").json() == found


def test_one_vhost_has_its_own_document(api: API) -> None:
    api.post("/definitions", whole())
    found = api.get("/definitions/shop").json()
    assert "users" not in found
    assert "vhost" not in found["queues"][0]
    api.put("/vhosts/copy")
    assert api.post("/definitions/copy", found).status_code == 204
    assert api.get("/definitions/copy").json()["bindings"] == found["bindings"]
    assert api.get("/definitions/nope").status_code == 404
    assert error(api.post("/definitions/nope", {})) == (404, "not_found", "vhost_not_found")


def test_a_virtual_host_stays_what_it_is_whatever_the_head_of_the_document_says(api: API) -> None:
    """As with RabbitMQ, which reads only the rows: limits come with the parameters."""
    api.put("/vhosts/v", {"description": "old", "tags": "t"})
    head = {
        "rabbitmq_definition_format": "single_virtual_host",
        "original_vhost_name": "w",
        "description": "new",
        "metadata": {"description": "new", "tags": ["u"], "default_queue_type": "quorum"},
        "limits": {"max-queues": 7},
    }
    limits = {"component": "vhost-limits", "name": "limits", "value": {"max-connections": 5}}
    document = {**head, "queues": [{"name": "q"}], "parameters": [limits]}
    assert api.post("/definitions/v", document).status_code == 204
    found = api.get("/definitions/v").json()
    assert (found["description"], found["limits"]) == ("old", {"max-connections": 5})
    assert api.get("/vhosts/v?columns=tags,default_queue_type").json()["tags"] == ["t"]
    assert api.get("/queues/v/q?columns=type").json() == {"type": "classic"}


def test_a_file_name_makes_it_a_download(api: API) -> None:
    response = api.get("/definitions?download=my%22%0Afile.json")
    assert response.headers["content-disposition"] == "attachment; filename=myfile.json"
    assert response.headers["content-type"] == "application/json"


def test_columns_choose_sections_and_keys(api: API) -> None:
    assert api.get("/definitions?columns=vhosts.name,rabbit_version").json() == {
        "vhosts": [{"name": "/"}],
        "rabbit_version": "4.0.5",
    }


@pytest.mark.parametrize("body", [b"", b"{}", b"\xef\xbb\xbf{}", b'{"rabbit_version":"3.10.8"}'])
def test_an_empty_document_changes_nothing(api: API, body: bytes) -> None:
    before = api.get("/definitions").json()
    assert api.post("/definitions", body).status_code == 204
    assert api.get("/definitions").json() == before


def test_a_form_with_a_file_is_imported(api: API) -> None:
    body, headers = form(file=json.dumps(WHOLE).encode())
    assert api.request("POST", "/definitions", body, headers=headers).status_code == 204
    assert "orders" in api.world.broker.vhosts["shop"].queues


def test_a_form_may_send_the_browser_elsewhere(api: API) -> None:
    body, headers = form(file=b"{}", redirect=b"../#/import-succeeded")
    response = api.request("POST", "/definitions", body, headers=headers)
    assert (response.status_code, response.headers["location"]) == (303, "../#/import-succeeded")


@pytest.mark.parametrize("parts", [{"file": b"{"}, {"file": b"\xff"}])
def test_a_file_that_is_no_json_is_refused(api: API, parts: dict[str, bytes]) -> None:
    body, headers = form(**parts)
    found = error(api.request("POST", "/definitions", body, headers=headers))
    assert found == (400, "bad_request", "failed_to_parse_json")


def test_a_form_without_a_file_is_refused(api: API) -> None:
    body, headers = form(other=b"{}")
    assert error(api.request("POST", "/definitions", body, headers=headers))[0] == 400


def test_what_is_wrong_is_told_with_its_row_and_nothing_is_done(api: API) -> None:
    document = {**whole(), "policies": [{"name": "p", "vhost": "shop", "pattern": "^a", "definition": {"nope": 1}}]}
    assert error(api.post("/definitions", document)) == (
        400,
        "bad_request",
        'policies[0] "p": [{<<"nope">>,1}] are not recognised policy settings',
    )
    assert "shop" not in api.world.broker.vhosts


def test_definitions_are_for_administrators(api: API) -> None:
    monitor = api.add_user("monitor", "monitoring")
    assert error(api.get("/definitions", monitor))[2] == "Not administrator user"
    assert error(api.post("/definitions", {}, monitor))[2] == "Not administrator user"
