"""Colours of the pages: text by WCAG AA (4.5 to 1), what pictures are read by (3 to 1)."""

import re

import pytest

from padless.report.html import STYLE

TEXT = ("fg", "dim", "ok", "bad", "warn", "useful")
MARKS = ("useful", "removable", "floor", "time", "waiting", "before", "bad", "warn")
PAPERS = ("bg", "card")


def themes() -> dict[str, dict[str, str]]:
    """The variables of the light style, the dark one, and print."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    assert len(blocks) == 3
    return {
        name: dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))
        for name, block in zip(("light", "dark", "print"), blocks, strict=True)
    }


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_colours_can_be_told_from_the_paper(theme):
    colours = themes()[theme]
    weak = [
        (name, paper, round(ratio, 2))
        for names, least in ((TEXT, 4.5), (MARKS, 3.0))
        for name in names
        for paper in PAPERS
        if (ratio := contrast(colours[name], colours[paper])) < least
    ]
    assert weak == []


def test_the_formula_is_wcags():
    assert contrast("#000000", "#ffffff") == pytest.approx(21) and contrast("#777777", "#ffffff") == pytest.approx(
        4.48, abs=0.01
    )


def test_every_theme_has_every_colour():
    light, dark, printed = (set(colours) for colours in themes().values())
    assert light == dark == printed
    used = set(re.findall(r"var\(--([a-z]+)\)", STYLE))
    assert used <= light
