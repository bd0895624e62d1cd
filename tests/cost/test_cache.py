"""The cache that remembers what oracles said."""

import sqlite3

import pytest

from padless.cost.cache import Cache, _row, key_of


def test_a_key_hashes_everything():
    assert key_of("a", 1) == key_of("a", 1) != key_of("a", 2)
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


def test_a_damaged_cache_is_built_anew_with_a_warning(tmp_path):
    cache = Cache(tmp_path)
    cache.put({"a": {"x": 1}, "b": [2]})
    assert cache.get(["a", "b", "c"]) == {"a": {"x": 1}, "b": [2]}
    cache.close()
    (tmp_path / "costs.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.warns(UserWarning, match=r"costs.sqlite was damaged \(file is not a database\) and is built anew"):
        assert Cache(tmp_path).get(["a"]) == {}
    fresh = Cache(tmp_path)
    fresh.put({"a": 3})
    assert fresh.get(["a"]) == {"a": 3}


def test_a_row_that_was_not_asked_for_is_damage_too(tmp_path):
    """As it comes from a file that was copied without its write-ahead log; here by a table that ignores case."""
    with sqlite3.connect(tmp_path / "costs.sqlite") as database:
        database.execute("CREATE TABLE answers (key TEXT COLLATE NOCASE PRIMARY KEY, value TEXT)")
        database.execute("INSERT INTO answers VALUES ('A', '1')")
    with pytest.warns(UserWarning, match=r"damaged \(rows out of place\)"):
        assert Cache(tmp_path).get(["a"]) == {}


def test_every_flipped_bit_of_a_row_is_noticed_and_that_row_alone_asked_again(tmp_path):
    answers = {"a": {"total": 4096, "npu": 4000}, "b": {"total": 1}}
    Cache(tmp_path).put(answers)
    with sqlite3.connect(tmp_path / "costs.sqlite") as database:
        database.text_factory = bytes
        ((row,),) = database.execute("SELECT value FROM answers WHERE key = 'a'").fetchall()
    for bit in range(8 * len(row)):
        flipped = bytearray(row)
        flipped[bit // 8] ^= 1 << bit % 8
        with sqlite3.connect(tmp_path / "costs.sqlite") as database:
            database.execute("UPDATE answers SET value = CAST(? AS TEXT) WHERE key = 'a'", (bytes(flipped),))
        assert Cache(tmp_path).get(["a", "b"]) == {"b": {"total": 1}}, bit
        assert Cache(tmp_path).all() == {"b": {"total": 1}}
    Cache(tmp_path).put({"a": answers["a"]})
    assert Cache(tmp_path).get(["a", "b"]) == answers


def test_a_row_under_another_key_is_none(tmp_path):
    Cache(tmp_path).put({"a": 1})
    with sqlite3.connect(tmp_path / "costs.sqlite") as database:
        database.execute("UPDATE answers SET key = 'b'")
        database.execute("INSERT INTO answers VALUES ('c', 3), ('d', NULL)")
    assert Cache(tmp_path).get(["a", "b", "c", "d"]) == {}


def test_a_row_that_is_no_answer_is_damage_too(tmp_path):
    Cache(tmp_path).put({"a": 1})
    with sqlite3.connect(tmp_path / "costs.sqlite") as database:
        database.execute("UPDATE answers SET value = ?", (_row("a", "{"),))
    with pytest.warns(UserWarning, match="was damaged"):
        assert Cache(tmp_path).get(["a"]) == {}


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "folder")
    with pytest.warns(UserWarning, match="cannot be used: .*. Costs are asked anew"):
        cache.put({"a": 1})
    assert cache.get(["a"]) == {}
    (tmp_path / "costs.sqlite").mkdir()
    with pytest.warns(UserWarning, match="cannot be used: unable to open database file. Costs are asked anew"):
        assert Cache(tmp_path).get(["a"]) == {}


def test_an_empty_variable_keeps_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("PADLESS_CACHE", "")
    cache = Cache()
    cache.put({"a": 1})
    assert cache.get(["a"]) == {}
    monkeypatch.delenv("PADLESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cache().file.name == "costs.sqlite"
