"""Reading documents: every shape that they have had, and a sentence for each that cannot be read."""

from __future__ import annotations

import pytest

from amqpd.definitions.reading import DefinitionsError, read, version_of
from amqpd.definitions.rows import SECTIONS
from tests.definitions.documents import WHOLE, whole


def faults(document: object, vhost: str = "") -> list[str]:
    with pytest.raises(DefinitionsError) as caught:
        read(document, vhost)
    return caught.value.faults


@pytest.mark.parametrize("document", [[], "x", 1, None])
def test_a_document_is_an_object(document: object) -> None:
    assert faults(document) == ["a definitions document is a JSON object"]


def test_every_section_is_read_in_the_order_of_what_needs_what() -> None:
    found = read(whole())
    assert {section: len(rows) for section, rows in found.rows.items()} == {
        section: len(rows) for section in SECTIONS if isinstance(rows := WHOLE[section], list)
    }
    assert list(found.rows) == list(SECTIONS)
    assert (found.has_users, found.has_permissions) == (True, True)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_may_be_missing_null_or_an_empty_object(section: str) -> None:
    for absent in (None, {}):
        document = whole()
        document[section] = absent
        assert read(document).rows[section] == []
    del document[section]
    assert read(document).rows[section] == []


def test_a_section_that_is_no_list_is_told() -> None:
    assert faults({"queues": 5}) == ["queues is not a list"]


def test_all_faults_are_found_with_section_index_and_name() -> None:
    document = {
        "users": [{"name": "u"}],
        "queues": [{"name": "ok", "vhost": "/"}, {"name": "q", "vhost": "/", "durable": "perhaps"}, 5],
        "policies": [{"name": "p", "vhost": "/", "pattern": "(", "definition": {"nope": 1}}],
        "permissions": [{"user": "u", "vhost": "/", "configure": "[", "write": "", "read": ""}],
    }
    assert faults(document) == [
        'users[0] "u": has no tags',
        "permissions[0]: '[' is not a regular expression: unterminated character set at position 0",
        'policies[0] "p": [{<<"nope">>,1}] are not recognised policy settings; '
        'pattern should be regular expression but is invalid: {"missing )",1}',
        'queues[1] "q": durable is neither true nor false',
        "queues[2]: is not an object",
    ]


def test_of_many_faults_a_text_shows_five() -> None:
    with pytest.raises(DefinitionsError) as caught:
        read({"queues": [5] * 9})
    assert str(caught.value).endswith("queues[4]: is not an object; and 4 more")


def test_the_export_of_one_vhost_is_refused_as_a_whole_brokers_with_the_way_out() -> None:
    document = {"queues": [{"name": "a"}, {"name": "b"}]}
    assert faults(document) == [
        'queues[0] "a": has no vhost: this is the export of one virtual host; import it into one, with'
        " POST /api/definitions/<vhost>"
    ]


def test_a_document_for_one_vhost_goes_there_whatever_its_rows_say() -> None:
    found = read({**whole(), "queues": [{"name": "a"}, {"name": "b", "vhost": "elsewhere"}]}, "here")
    rows = [row for section in found.rows.values() for row in section]
    assert {getattr(row, "vhost", "here") for row in rows} == {"here"}
    assert found.rows["users"] == found.rows["vhosts"] == found.rows["permissions"] == []


def test_a_row_nested_too_deep_is_told() -> None:
    deep: object = 1
    for _ in range(100):
        deep = {"x": deep}
    assert faults({"queues": [{"name": "q", "vhost": "/", "arguments": deep}]}) == [
        'queues[0] "q": arguments: tables nested deeper than 64'
    ]


@pytest.mark.parametrize(
    ("document", "version"),
    [
        ({"rabbit_version": "3.5.7"}, (3, 5, 7)),
        ({"rabbitmq_version": "4.1.0-rc.2"}, (4, 1, 0)),
        ({"rabbit_version": 5}, ()),
        ({}, ()),
    ],
)
def test_the_version_is_that_of_the_writer(document: dict[str, object], version: tuple[int, ...]) -> None:
    assert version_of(document) == version
