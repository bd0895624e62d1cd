"""Staircases as pictures and tables."""

import pytest
from checks.stairs import SOURCE, WIDTHS, made, units

from padless.cost.probe import Setting, infer, probe
from padless.errors import UsageError
from padless.report.staircase import draw, staircases


def test_pictures_and_tables(tmp_path, capsys):
    from padless.cli.app import out

    stairs, setting = probe(made, Setting(widths=range(1, 65))), Setting(widths=range(1, 65))
    assert units(stairs)["output"] == 16 and units(stairs)["input"] == 8
    out.print(staircases(stairs, setting))
    text = capsys.readouterr().out
    assert "output unit 16: its edges are" in text
    assert "dip: 20 cost more than 21" in text
    assert "rises off the edges, at 20" in text
    pytest.importorskip("matplotlib", reason="the extra plots is not installed")
    draw(stairs, setting, tmp_path / "stairs.png", "made")
    assert (tmp_path / "stairs.png").read_bytes()[:4] == b"\x89PNG"
    sparse = [infer("output", range(4, 129, 4), range(4, 129, 4), SOURCE)]
    draw(sparse, setting, tmp_path / "sparse.svg", "made")
    assert "<svg" in (tmp_path / "sparse.svg").read_text()


def test_pictures_need_matplotlib(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"Drawing staircases needs the package matplotlib. .*padless\[plots\]"):
        draw([infer("output", WIDTHS, [1] * 128, SOURCE)], Setting(), tmp_path / "x.png", "made")
