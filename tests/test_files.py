"""Whole files, JSON and digests."""

import hashlib
import json
import os

import numpy as np
import pytest

from padless import files
from padless.files import digest, take, unfinished, write_atomically, write_json


def test_a_file_is_written_with_the_folders_above_it(tmp_path):
    write_atomically(tmp_path / "a" / "b.txt", "é")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "é".encode()
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    file = tmp_path / "b.bin"
    write_atomically(file, b"before")
    with pytest.raises(TypeError):
        write_atomically(file, 3)  # type: ignore[arg-type]
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]


def test_json_ends_in_a_newline(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1, None]})
    assert (tmp_path / "a.json").read_text() == '{\n "b": [\n  1,\n  null\n ]\n}\n'
    write_json(tmp_path / "a.json", {"b": 1}, indent=None)
    assert (tmp_path / "a.json").read_text() == '{"b": 1}\n'


def test_what_json_cannot_hold_leaves_what_was_there(tmp_path):
    file = tmp_path / "a.json"
    write_json(file, 1)
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(file, {"b": object()})
    assert json.loads(file.read_text()) == 1


def test_a_digest_is_of_the_parts_joined():
    assert digest(b"ab", b"c") == digest(b"abc") == hashlib.sha256(b"abc").hexdigest()[:16] == "ba7816bf8f01cfea"
    assert digest() == "e3b0c44298fc1c14"
    numbers = np.arange(3, dtype=np.int64)
    assert digest(numbers.data) == digest(numbers.tobytes()) != digest(b"")


def test_a_write_follows_no_link_and_takes_a_name_that_nobody_foresees(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f".b.txt-{os.getpid()}").symlink_to(victim)  # as the name was before
    names = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr("padless.files.secrets.token_hex", lambda _: next(names))
    (tmp_path / f".b.txt.padless-{'0' * 16}").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "b.txt", "other")
    write_atomically(tmp_path / "b.txt", "other")
    assert victim.read_text() == "mine" and (tmp_path / "b.txt").read_text() == "other"


def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    file = tmp_path / "b.txt"
    dead, alive, other = unfinished(file), unfinished(file), unfinished(tmp_path / "c.txt")
    for path in (dead, alive, other):
        path.write_text("half")
    with alive.open() as opened:
        assert take(opened.fileno())
        write_atomically(file, "whole")
        assert not dead.exists() and alive.exists() and other.exists()
    write_atomically(file, "whole")
    assert not alive.exists()


def test_files_get_the_usual_permissions(tmp_path):
    write_atomically(tmp_path / "a", "")
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_disk_without_room_is_an_oserror_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "a", "x")
    assert list(tmp_path.iterdir()) == []


def test_code_is_told_apart_by_file_and_by_room(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "__file__", str(tmp_path / "files.py"))
    (tmp_path / "room").mkdir()
    for name in ("alone.py", "room/a.py", "room/b.py"):
        (tmp_path / name).write_text(name)

    def now() -> list[str]:
        files.digest_of_code.cache_clear()
        return [files.digest_of_code(*places) for places in (("alone.py",), ("room",), ("alone.py", "room"))]

    first = now()
    assert now() == first and len(set(first)) == 3
    (tmp_path / "room/b.py").write_text("changed")
    assert [old == new for old, new in zip(first, now(), strict=True)] == [True, False, False]
    files.digest_of_code.cache_clear()
