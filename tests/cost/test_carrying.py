"""Answers as one file."""

import pytest
from pyarrow import parquet, table

from padless import UsageError
from padless.cost.cache import Cache, hand_over, key_of, recorded
from padless.cost.carrying import export_answers, import_answers


def test_answers_are_carried(tmp_path, run):
    answers = {key_of("a", n): {"total": n} for n in range(3)}
    Cache().put(answers)
    code, out, _ = run("cache", "export", "c.parquet")
    assert (code, out.split()[0]) == (0, "3")
    other = Cache(tmp_path / "other")
    assert import_answers(other, tmp_path / "c.parquet") == 3
    assert Cache(tmp_path / "other").all() == answers
    code, out, _ = run("cache", "import", "c.parquet")
    assert code == 0 and out.startswith("3 answers of c.parquet taken up in ")
    assert "export" in run("cache", "--help")[1]


def test_a_changed_byte_is_noticed(tmp_path):
    answers = {key_of("a", n): {"total": n} for n in range(3)}
    Cache(tmp_path).put(answers)
    export_answers(Cache(tmp_path), tmp_path / "c.parquet")
    whole, refused = (tmp_path / "c.parquet").read_bytes(), 0
    for place in range(4, len(whole), 3):
        changed = bytearray(whole)
        changed[place] ^= 1
        (tmp_path / "d.parquet").write_bytes(changed)
        into = Cache(tmp_path / str(place))
        try:
            import_answers(into, tmp_path / "d.parquet")
        except UsageError:
            refused += 1
        assert into.all() in ({}, answers), place
    assert refused > 50


@pytest.mark.parametrize(
    "columns",
    [
        {"key": ["a"], "value": ["{}"]},
        {"key": [key_of(1)], "value": ["1"]},
        {"key": [key_of(1)], "value": ["{"]},
        {"k": ["a"]},
    ],
)
def test_a_file_that_holds_no_answers(tmp_path, columns):
    parquet.write_table(table(columns), tmp_path / "c.parquet")
    with pytest.raises(UsageError, match=r"c\.parquet holds no answers: .* Give what `padless cache export` wrote"):
        import_answers(Cache(), tmp_path / "c.parquet")
    assert Cache().all() == {}


def test_what_cannot_be_carried(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"c\.csv is no \.parquet file\. Give one"):
        export_answers(Cache(), tmp_path / "c.csv")
    with pytest.raises(UsageError, match=r"none\.parquet holds no answers: "):
        import_answers(Cache(), tmp_path / "none.parquet")
    monkeypatch.setenv("PADLESS_CACHE", "")
    with pytest.raises(UsageError, match="This machine keeps no answers: PADLESS_CACHE is empty"):
        export_answers(Cache(), tmp_path / "c.parquet")


def test_answers_that_are_handed_over_are_known_without_a_file(monkeypatch):
    monkeypatch.setattr("padless.cost.cache._handed", {})
    monkeypatch.setenv("PADLESS_CACHE", "")
    key = key_of("handed")
    assert Cache().get([key]) == {}
    hand_over({key: 1})
    assert Cache().get([key, key_of("other")]) == {key: 1}


def test_what_is_found_meanwhile_is_recorded():
    with recorded() as outer:
        Cache().put({key_of(1): 1})
        with recorded() as inner:
            Cache().put({key_of(2): 2})
        Cache().put({key_of(3): 3})
    Cache().put({key_of(4): 4})
    assert (sorted(outer.values()), list(inner.values())) == ([1, 2, 3], [2])
