"""Whole files, JSON and digests."""

import hashlib
import json

import numpy as np
import pytest

from padless.files import digest, write_atomically, write_json


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
