"""Definitions in files: one, or all of a directory, and one sentence for what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from amqpd.definitions.faults import FileError
from amqpd.definitions.files import read_files


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "definitions.json"
    path.write_text(json.dumps({"queues": [{"name": "q", "vhost": "/"}]}))
    (found,) = read_files(path)
    assert (found.path, found.definitions.count) == (path, 1)


def test_the_json_files_of_a_directory_are_read_by_name(tmp_path: Path) -> None:
    for name in ("20-b.json", "10-a.json", "notes.txt"):
        (tmp_path / name).write_text("{}")
    assert [found.path.name for found in read_files(tmp_path)] == ["10-a.json", "20-b.json"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "cannot be imported: not JSON: Expecting property name enclosed in double quotes (line 1, column 2)."),
        ("[]", "cannot be imported: a definitions document is a JSON object."),
        ('{"users":[{"name":"u"}]}', 'cannot be imported: users[0] "u": has no tags.'),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(text)
    with pytest.raises(FileError) as caught:
        read_files(path)
    assert str(caught.value) == f"The definitions file {path} {reason}"


def test_a_file_that_is_not_there_and_a_directory_without_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file or directory"):
        read_files(tmp_path / "nope.json")
    with pytest.raises(FileError, match=r"has no file whose name ends with \.json"):
        read_files(tmp_path)
