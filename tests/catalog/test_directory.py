"""The data directory: who may have it, what it must be, and the sentence for each refusal."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from amqpd.catalog.directory import DataDirectory, DataDirectoryError, sync_folder

FORMAT = "amqpd data format 1\n"
HOLDER = """
import sys
from pathlib import Path
from amqpd.catalog.directory import DataDirectory
directory = DataDirectory.open(Path(sys.argv[1]))
print("has it", flush=True)
sys.stdin.readline()
directory.close()
print("gave it back", flush=True)
sys.stdin.readline()
"""


def refusal(path: Path) -> str:
    """What open() says of a directory that it refuses."""
    with pytest.raises(DataDirectoryError) as caught:
        DataDirectory.open(path)
    return str(caught.value)


def contents(path: Path) -> dict[str, bytes | None]:
    """Everything in a directory."""
    return {
        found.relative_to(path).as_posix(): found.read_bytes() if found.is_file() else None for found in path.rglob("*")
    }


class Broken:
    """A call of the system that fails for one path, as a file system would that cannot be written to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, name: str, number: int) -> None:
        real = getattr(os, call)

        def broken(path: object, *rest: object, **named: object) -> object:
            if str(path).endswith(name):
                raise OSError(number, os.strerror(number), str(path))
            return real(path, *rest, **named)

        monkeypatch.setattr(os, call, broken)


def test_a_missing_directory_is_made_with_its_parents_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    directory = DataDirectory.open(path)
    try:
        assert path.stat().st_mode & 0o777 == 0o700
        assert (path / "format").read_text() == FORMAT
        assert (path / "lock").read_text() == f"{os.getpid()}\n"
        assert sorted(contents(path)) == ["format", "lock", "queues", "spill"]
        assert directory.path == path
        assert directory.catalog_path == path / "catalog.sqlite"
        assert directory.queues == path / "queues"
        assert directory.spill == path / "spill"
    finally:
        directory.close()


def test_a_directory_is_opened_again_with_what_is_in_it_but_nothing_that_was_spilled(tmp_path: Path) -> None:
    first = DataDirectory.open(tmp_path)
    (first.queues / "7").mkdir()
    (first.queues / "7" / "0.log").write_bytes(b"record")
    first.catalog_path.write_bytes(b"catalog")
    (first.spill / "9").mkdir()
    (first.spill / "9" / "0.log").write_bytes(b"record")
    (first.spill / "file").write_bytes(b"")
    (first.spill / "link").symlink_to(first.queues / "7")
    first.close()
    first.close()
    second = DataDirectory.open(tmp_path)
    assert list(second.spill.iterdir()) == []
    assert (second.queues / "7" / "0.log").read_bytes() == b"record"
    second.close()


@pytest.mark.parametrize("left", [["lock"], ["lock", "format.new"], ["lost+found"]])
def test_a_first_start_that_was_cut_short_and_the_root_of_a_new_disk_are_as_good_as_empty(
    tmp_path: Path, left: list[str]
) -> None:
    for name in left:
        (tmp_path / name).write_bytes(b"amqpd dat")
    DataDirectory.open(tmp_path).close()
    assert (tmp_path / "format").read_text() == FORMAT


def test_a_directory_that_another_process_has_is_refused_with_its_pid_until_it_gives_it_back(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "has it\n"
        (tmp_path / "spill" / "page").write_bytes(b"message")
        before = contents(tmp_path)
        sentence = (
            f"The data directory {tmp_path} is in use by another amqpd (process {holder.pid});"
            " stop that one, or use another directory."
        )
        assert refusal(tmp_path) == sentence
        with pytest.raises(DataDirectoryError) as caught:
            DataDirectory.inspect(tmp_path)
        assert str(caught.value) == sentence
        assert contents(tmp_path) == before
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "gave it back\n"
        DataDirectory.open(tmp_path).close()
        holder.stdin.write("\n")


def test_a_process_that_was_killed_holds_nothing_any_more(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "has it\n"
        holder.kill()
        holder.wait()
    DataDirectory.open(tmp_path).close()


def test_a_holder_that_did_not_come_to_write_its_pid_is_refused_all_the_same(tmp_path: Path) -> None:
    directory = DataDirectory.open(tmp_path)
    (tmp_path / "lock").write_bytes(b"")
    assert "is in use by another amqpd; stop" in refusal(tmp_path)
    directory.close()


def test_a_newer_format_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    (tmp_path / "format").write_text("amqpd data format 12\n")
    before = contents(tmp_path)
    assert refusal(tmp_path) == (
        f"The data directory {tmp_path} was written by a newer amqpd (data format 12, this one knows 1);"
        " use that amqpd, or another directory."
    )
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", ["", "amqpd data format", "amqpd data format one\n", "amqpd data format 1\nmore\n"])
def test_a_format_file_that_says_something_else_is_refused_and_nothing_is_touched(tmp_path: Path, text: str) -> None:
    (tmp_path / "format").write_text(text)
    before = contents(tmp_path)
    assert refusal(tmp_path) == (
        f'{tmp_path}/format does not say "amqpd data format 1"; restore it from a backup, or use another directory.'
    )
    assert contents(tmp_path) == before


def test_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    assert refusal(path) == f"The data directory {path} is a file; use the name of a directory."
    assert path.read_bytes() == b"mine"


def test_a_name_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "data"
    assert refusal(path) == (
        f"The data directory {path} cannot be used (not a directory); mend that, or use another directory."
    )


def test_a_directory_with_other_things_in_it_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"mine")
    (tmp_path / "photos").mkdir()
    before = contents(tmp_path)
    assert refusal(tmp_path) == (
        f"{tmp_path} is not a data directory of amqpd and not empty either: it holds notes.txt, photos;"
        " use an empty or a new directory."
    )
    assert contents(tmp_path) == before


def test_of_many_other_things_some_are_named(tmp_path: Path) -> None:
    for name in "edcba":
        (tmp_path / name).write_bytes(b"")
    assert "it holds a, b, c and 2 more; use" in refusal(tmp_path)


@pytest.mark.parametrize("empty", [True, False])
def test_queues_without_their_catalog_are_refused_before_anything_is_removed(tmp_path: Path, empty: bool) -> None:
    directory = DataDirectory.open(tmp_path)
    if empty:
        directory.catalog_path.write_bytes(b"")
    (directory.queues / "1").mkdir()
    (directory.spill / "page").write_bytes(b"message")
    directory.close()
    assert refusal(tmp_path) == (
        f"The data directory {tmp_path} has queues, but its catalog.sqlite is missing or empty;"
        f" restore it from a backup, or move {tmp_path}/queues away to start without them."
    )
    assert (tmp_path / "queues" / "1").exists()
    assert (tmp_path / "spill" / "page").exists()
    (tmp_path / "queues").rename(tmp_path / "kept")
    DataDirectory.open(tmp_path).close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "data"
    DataDirectory.open(path).close()
    path.chmod(mode)
    try:
        assert refusal(path).endswith("; make it readable and writable for this user, or use another directory.")
    finally:
        path.chmod(0o700)


def test_a_directory_that_cannot_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Broken(monkeypatch, "open", "/lock", errno.EROFS)
    assert refusal(tmp_path) == (
        f"The data directory {tmp_path} cannot be used (read-only file system, {tmp_path}/lock);"
        " make it readable and writable for this user, or use another directory."
    )


def test_a_directory_whose_lock_can_be_written_but_nothing_else_is_refused_and_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patches:
        patches.setattr(os, "access", lambda path, mode: False)
        assert refusal(tmp_path) == (
            f"The data directory {tmp_path} cannot be used (permission denied);"
            " make it readable and writable for this user, or use another directory."
        )
    DataDirectory.open(tmp_path).close()


def test_a_directory_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Broken(monkeypatch, "listdir", str(tmp_path), errno.EACCES)
    assert "cannot be used (permission denied); make it readable" in refusal(tmp_path)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Broken(monkeypatch, "mkdir", "/data", errno.EACCES)
    assert "cannot be used (permission denied); make it readable" in refusal(tmp_path / "data")


def test_a_full_disk_is_refused_with_another_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patches:
        Broken(patches, "mkdir", "/queues", errno.ENOSPC)
        assert refusal(tmp_path) == (
            f"The data directory {tmp_path} cannot be used (no space left on device, {tmp_path}/queues);"
            " make room on its disk, or use another directory."
        )
    DataDirectory.open(tmp_path).close()


def test_a_failing_lock_is_no_lock_held_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOLCK: network file systems without a lock service."""
    if sys.platform == "win32":
        pytest.skip("no flock there")
    import fcntl

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert refusal(tmp_path) == (
        f"The data directory {tmp_path} cannot be used (no locks available); mend that, or use another directory."
    )


def test_a_new_directory_is_synced_with_its_name_in_the_one_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("the names of open files are not told here")
    monkeypatch.setattr(os, "fsync", noted)
    path = tmp_path / "a" / "b"
    DataDirectory.open(path).close()
    here = os.path.realpath(tmp_path)
    assert synced == [f"{here}/a", here, f"{here}/a/b/format.new", f"{here}/a/b", f"{here}/a/b"]
    sync_folder(tmp_path)
    assert synced[-1] == here


def test_a_directory_at_rest_can_be_inspected_without_a_change_and_without_keeping_the_lock(tmp_path: Path) -> None:
    DataDirectory.open(tmp_path).close()
    (tmp_path / "spill" / "page").write_bytes(b"message")
    before = contents(tmp_path)
    inspected = DataDirectory.inspect(tmp_path)
    assert inspected.queues == tmp_path / "queues"
    assert contents(tmp_path) == before
    DataDirectory.open(tmp_path).close()
    inspected.close()


def test_a_copy_without_its_lock_file_can_be_inspected(tmp_path: Path) -> None:
    (tmp_path / "format").write_text(FORMAT)
    DataDirectory.inspect(tmp_path)
    assert sorted(contents(tmp_path)) == ["format"]


def test_what_is_no_data_directory_cannot_be_inspected_and_is_not_made_one(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError) as caught:
        DataDirectory.inspect(tmp_path)
    assert str(caught.value) == f"{tmp_path} is not a data directory of amqpd; name one that a broker has used."
    with pytest.raises(DataDirectoryError, match=r"cannot be used \(no such file or directory\); mend that"):
        DataDirectory.inspect(tmp_path / "missing")
    (tmp_path / "format").write_text("amqpd data format 2\n")
    with pytest.raises(DataDirectoryError, match="was written by a newer amqpd"):
        DataDirectory.inspect(tmp_path)
    assert sorted(contents(tmp_path)) == ["format"]
