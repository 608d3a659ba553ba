"""What is the same for every resource: paths, methods, login, bodies, headers, errors."""

from __future__ import annotations

import pytest

from tests.management.api import API, error

NOT_FOUND = (404, "Object Not Found", "Not Found")


@pytest.fixture
def api() -> API:
    return API()


# Paths and methods.


@pytest.mark.parametrize(
    "path", ["/nosuchthing", "/exchanges/nope", "/exchanges/%2F/nope", "/whoami/x", "/exchanges/%2F/a/b"]
)
def test_what_is_not_there_is_404_with_rabbitmqs_words(api: API, path: str) -> None:
    assert error(api.get(path)) == NOT_FOUND


@pytest.mark.parametrize("vhost", ["%2F", "%2f", ""])
def test_the_vhost_of_the_root_is_percent_encoded_or_left_empty(api: API, vhost: str) -> None:
    assert api.get(f"/exchanges/{vhost}/amq.direct").json()["vhost"] == "/"


def test_a_path_is_split_before_it_is_decoded_and_plus_is_plus(api: API) -> None:
    for name, written in [("a b", "a%20b"), ("a+b", "a+b"), ("a/b", "a%2Fb"), ("ä%", "%C3%A4%25")]:
        assert api.put(f"/exchanges/%2F/{written}").status_code == 201
        assert api.get(f"/exchanges/%2F/{written}").json()["name"] == name
        assert name in api.world.vhost.exchanges


def test_one_slash_at_the_end_does_not_matter(api: API) -> None:
    assert api.get("/whoami/").json() == api.get("/whoami").json()
    assert api.get("/exchanges/%2F/amq.direct/").status_code == 200


def test_the_default_exchange_has_an_empty_name_or_an_alias(api: API) -> None:
    assert api.get("/exchanges/%2F/amq.default").json()["name"] == ""


def test_a_wrong_method_is_405_and_told_what_is_allowed(api: API) -> None:
    response = api.post("/exchanges/%2F/x", {})
    assert (response.status_code, response.content) == (405, b"")
    assert response.headers["allow"] == "HEAD, GET, PUT, DELETE, OPTIONS"


def test_options_need_no_login(api: API) -> None:
    response = api.request("OPTIONS", "/exchanges", user=None)
    assert (response.status_code, response.headers["allow"], response.content) == (200, "HEAD, GET, OPTIONS", b"")


def test_head_has_the_headers_of_get(api: API) -> None:
    full, head = api.get("/exchanges"), api.request("HEAD", "/exchanges")
    assert (head.status_code, head.headers["content-length"]) == (200, full.headers["content-length"])


@pytest.mark.parametrize("path", ["///", "///api", "///api/"])
def test_other_paths_lead_to_the_list_of_what_there_is(api: API, path: str) -> None:
    response = api.get(path.removeprefix("/"), user=None)
    assert (response.status_code, response.headers["location"]) == (301, "http://localhost:15672/api/index.html")
    page = api.get("/index.html", user=None)
    assert page.headers["content-type"].startswith("text/html")
    assert "/api/exchanges/{vhost}/{exchange}" in page.text


# Login.


def test_without_a_login_the_answer_is_401_without_a_body(api: API) -> None:
    for headers in ({}, {"authorization": "Bearer x"}, {"authorization": "Basic !"}, {"authorization": "Basic Zw=="}):
        response = api.request("GET", "/whoami", user=None, headers=headers)
        assert (response.status_code, response.content) == (401, b"")
        assert response.headers["www-authenticate"] == 'Basic realm="RabbitMQ Management"'


@pytest.mark.parametrize("user", [("guest", "wrong"), ("nobody", "guest"), ("guest", ""), ("", "")])
def test_a_wrong_login_is_401_with_the_same_words_for_every_reason(api: API, user: tuple[str, str]) -> None:
    response = api.get("/whoami", user)
    assert error(response) == (401, "not_authorized", "Login failed")
    assert response.headers["www-authenticate"] == 'Basic realm="RabbitMQ Management"'


def test_the_log_tells_who_was_refused_from_where_and_why(api: API, caplog: pytest.LogCaptureFixture) -> None:
    api.get("/whoami", ("guest", "wrong"))
    api.get("/whoami", ("nobody", "wrong"))
    logged = [record for record in caplog.records if record.getMessage() == "management.login_refused"]
    assert [record.__dict__["fields"] for record in logged] == [
        {"peer": "127.0.0.1", "user": "guest", "reason": "wrong password"},
        {"peer": "127.0.0.1", "user": "nobody", "reason": "no such user"},
    ]


def test_guest_is_let_in_from_the_machine_itself_only(api: API) -> None:
    api.peer = "192.0.2.1"
    assert error(api.get("/whoami")) == (401, "not_authorised", "User can only log in via localhost")
    assert error(api.get("/whoami", ("guest", "wrong"))) == (401, "not_authorized", "Login failed")


def test_a_user_without_tags_gets_nothing(api: API) -> None:
    assert error(api.get("/whoami", api.add_user("app"))) == (401, "not_authorised", "Not management user")


@pytest.mark.parametrize("tag", ["management", "policymaker", "monitoring", "administrator"])
def test_each_of_the_known_tags_is_enough_to_come_in(api: API, tag: str) -> None:
    assert api.get("/whoami", api.add_user("u", tag, "other")).json()["tags"] == sorted([tag, "other"])


# Bodies.


def test_an_empty_body_is_an_empty_object(api: API) -> None:
    for number, body in enumerate([b"", b"null", b"undefined", b"{}", b" \n"]):
        assert api.put(f"/exchanges/%2F/x{number}", body).status_code == 201


@pytest.mark.parametrize("body", [b"not json", b"[]", b"1", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(api: API, body: bytes) -> None:
    assert error(api.put("/exchanges/%2F/x", body)) == (400, "bad_request", "not_json")


def test_a_json_text_is_told_to_be_encoded_twice(api: API) -> None:
    assert error(api.put("/exchanges/%2F/x", "{}"))[2].endswith("Is the input doubly-JSON-encoded?")


def test_a_content_type_does_not_matter(api: API) -> None:
    response = api.request("PUT", "/exchanges/%2F/x", {}, headers={"content-type": "text/plain"})
    assert response.status_code == 201


def test_booleans_may_be_words_and_nothing_else(api: API) -> None:
    assert api.put("/exchanges/%2F/x", {"durable": "true", "unknown": 1}).status_code == 201
    assert api.world.vhost.exchanges["x"].durable
    refused = error(api.put("/exchanges/%2F/y", {"durable": "yes"}))
    assert refused == (400, "bad_request", 'durable must be true or false, and is "yes"')


def test_a_body_above_the_limit_is_refused(api: API) -> None:
    api.node.body_limit = 10
    assert api.put("/exchanges/%2F/x", b" " * 10).status_code == 201
    assert error(api.put("/exchanges/%2F/x", b" " * 11)) == (400, "bad_request", "The body has more than 10 octets.")


# Headers.


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/json",
        "application/json; q=0.5",
        "text/html, */*",
        "application/bert, application/json;q=0.1",
    ],
)
def test_whoever_can_read_json_gets_it(api: API, accept: str) -> None:
    assert api.get("/whoami", accept=accept).headers["content-type"] == "application/json"


def test_whoever_can_not_is_told(api: API) -> None:
    assert api.get("/whoami", accept="text/html").status_code == 406


def test_answers_have_rabbitmqs_headers(api: API) -> None:
    headers = api.get("/whoami").headers
    assert headers["cache-control"] == "no-cache"
    assert headers["content-security-policy"] == "script-src 'self'; object-src 'self'"
    assert headers["vary"].startswith("accept, accept-encoding, origin")
    assert headers["date"] == "Tue, 14 Nov 2023 22:13:20 GMT"


def test_long_answers_are_compressed_for_whoever_understands_it(api: API) -> None:
    assert api.get("/exchanges", **{"accept-encoding": "gzip"}).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in api.get("/exchanges", **{"accept-encoding": "identity"}).headers
    assert "content-encoding" not in api.get("/whoami", **{"accept-encoding": "gzip"}).headers


def test_pages_of_other_origins_are_let_in_only_where_configured(api: API) -> None:
    assert "access-control-allow-origin" not in api.get("/whoami", origin="http://a.example").headers
    api.node.allowed_origins = ("http://a.example", "http://localhost:*")
    for origin in ("http://a.example", "http://localhost:3000"):
        headers = api.get("/whoami", origin=origin).headers
        assert headers["access-control-allow-origin"] == origin
        assert headers["access-control-allow-credentials"] == "true"
    for origin in ("http://b.example", "http://localhost.b.example:3000", "http://localhost:x"):
        assert "access-control-allow-origin" not in api.get("/whoami", origin=origin).headers
    api.node.allowed_origins = ("*",)
    headers = api.get("/whoami", origin="http://b.example").headers
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers


def test_a_preflight_request_is_answered(api: API) -> None:
    api.node.allowed_origins = ("*",)
    asked = {"origin": "http://a", "access-control-request-method": "PUT", "access-control-request-headers": "x-y"}
    headers = api.request("OPTIONS", "/exchanges/%2F/x", user=None, headers=asked).headers
    assert headers["access-control-allow-methods"] == "HEAD, GET, PUT, DELETE, OPTIONS"
    assert (headers["access-control-allow-headers"], headers["access-control-max-age"]) == ("x-y", "1800")


# Permissions are AMQP's.


def test_a_change_runs_with_the_permissions_of_its_user_even_an_administrators(api: API) -> None:
    user = api.add_user("u", "administrator", configure="^mine-")
    assert error(api.put("/exchanges/%2F/other", {}, user)) == (401, "not_authorised", "Access refused.")
    assert api.put("/exchanges/%2F/mine-x", {}, user).status_code == 201


def test_without_permissions_in_a_vhost_nothing_of_it_is_seen_or_changed(api: API) -> None:
    user = api.add_user("u", "management", vhost=None)
    refused = (401, "not_authorised", "User not authorised to access virtual host")
    assert error(api.get("/exchanges/%2F", user)) == refused
    assert error(api.put("/exchanges/%2F/x", {}, user)) == refused
    assert api.get("/exchanges", user).json() == []


def test_a_monitoring_user_sees_every_vhost_and_changes_none_without_permissions(api: API) -> None:
    user = api.add_user("u", "monitoring", vhost=None)
    assert api.get("/exchanges/%2F/amq.direct", user).status_code == 200
    assert error(api.put("/exchanges/%2F/x", {}, user))[2] == "User not authorised to access virtual host"


def test_a_change_in_an_unknown_vhost_is_404(api: API) -> None:
    assert error(api.put("/exchanges/nope/x", {})) == (404, "not_found", "vhost_not_found")
