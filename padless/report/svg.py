"""Pieces of pages: elements whose attributes are always quoted and escaped, and numbers as people read them."""

from collections.abc import Collection, Iterable, Sequence
from html import escape
from typing import Any, Final

KIB: Final = 1024


def element(tag: str, *children: str, **attributes: Any) -> str:
    """`<tag …>children</tag>`. Children are HTML already, attributes plain values.

    An underscore stands for a hyphen (`aria_label`), one at the end is left out (`class_`); None and False leave the
    attribute out, True leaves its value out.
    """
    parts = [tag]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        key = name.rstrip("_").replace("_", "-")
        parts.append(key if value is True else f'{key}="{escape(_plain(value))}"')
    return f"<{' '.join(parts)}>{''.join(children)}</{tag}>"


def text(value: object) -> str:
    """Plain text as HTML."""
    return escape(str(value))


def _plain(value: Any) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def human(number: float) -> str:
    """About so many: 172 k, 1.2 M."""
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{suffix}"
    return f"{number:.3g}"


def memory(bytes: float) -> str:
    """KiB, MiB from one of them up, bytes below one KiB."""
    for size, suffix in ((KIB * KIB, "MiB"), (KIB, "KiB")):
        if bytes >= size:
            return f"{bytes / size:.0f} {suffix}" if bytes >= 100 * size else f"{bytes / size:.3g} {suffix}"
    return f"{bytes:,.0f} B"


def duration(nanoseconds: float) -> str:
    """Milliseconds, or microseconds below one of them."""
    return f"{nanoseconds / 1e6:,.3g} ms" if nanoseconds >= 1e6 else f"{nanoseconds / 1e3:,.3g} µs"


def percent(share: float) -> str:
    """A share as percent, with so many digits that 99.94 % is not 100 %."""
    value = 100 * share
    return f"{value:.1f} %" if 0.05 <= value <= 99.9 or value >= 100 or value == 0 else f"{value:.2f} %"


def listed(names: Sequence[str], most: int = 3) -> str:
    """A few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[int] = ()) -> str:
    """A table in a box that scrolls by itself. The caption is for those who hear it; heads are plain, cells are HTML.

    Numbers stand at the right, the first column and those in `left` at the left.
    """
    kinds = ["left" if place in left else None for place in range(len(heads))]
    head = "".join(element("th", text(name), scope="col", class_=kind) for name, kind in zip(heads, kinds, strict=True))
    body = "".join(
        element("tr", *(element("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True)))
        for row in rows
    )
    parts = (
        element("caption", text(caption), class_="hidden"),
        element("thead", element("tr", head)),
        element("tbody", body),
    )
    return element("div", element("table", *parts), class_="scroll")


def folded(summary: str, content: str, *, opened: bool = False) -> str:
    """Content behind a line that opens it."""
    return element("details", element("summary", text(summary)), content, open=opened)
