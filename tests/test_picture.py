"""The canvas of pictures and the shell of pages."""

import pytest

from padless.errors import UsageError
from padless.report.html import STYLE, document
from padless.report.picture import COLOURS, canvas, png


def test_a_figure_becomes_the_kind_of_file_that_is_asked_for():
    pytest.importorskip("matplotlib", reason="the extra plots is not installed")
    figure = canvas("Drawing", figsize=(2, 1))
    figure.subplots().plot([0, 1], color=COLOURS["blue"])
    assert png(figure)[:4] == b"\x89PNG"
    assert int.from_bytes(png(figure)[16:20]) == 220  # pixels wide
    assert b"<svg" in png(figure, "svg")


def test_all_pictures_share_a_style():
    pytest.importorskip("matplotlib", reason="the extra plots is not installed")
    figure = canvas("Drawing")
    axes = figure.subplots()
    axes.set_title("50 $ of $60")
    png(figure)
    assert {side: spine.get_visible() for side, spine in axes.spines.items()} == {
        "left": True, "bottom": True, "right": False, "top": False,
    }  # fmt: skip
    assert axes.get_title(loc="left") == "50 $ of $60" and not axes.get_title()


def test_a_canvas_needs_matplotlib(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"Drawing needs the package matplotlib. .*padless\[plots\]"):
        canvas("Drawing")


def test_a_document_escapes_its_title_and_adds_to_the_style():
    assert document("a < b", "<p>c</p>", "p{d}") == (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>padless: a &lt; b</title>'
        f"<style>{STYLE}p{{d}}</style></head>\n<body><main>\n<p>c</p>\n</main></body></html>\n"
    )
