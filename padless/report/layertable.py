"""The layers as a table with bars: those that a cut changed first, the others folded."""

from collections.abc import Sequence

from padless.report.report import LayerReport, Report, Side
from padless.report.svg import element, human, text

HEADS = ("layer", "widths", "MACs", "removable padding", "time", "now", "change", "bound by", "array used")
Part = tuple[str, float, float]  # colour, length, opacity


def layer_table(report: Report) -> str:
    """A row a layer. Above the dense network's bar, pale, below the pruned one's."""
    timed = any(layer.pruned.time is not None for layer in report.layers)
    longest = max((max(layer.dense.padded_macs, layer.pruned.padded_macs) for layer in report.layers), default=0)
    slowest = max((max(layer.dense.time or 0, layer.pruned.time or 0) for layer in report.layers), default=0)
    changed = [layer for layer in report.layers if layer.changed]
    same = [layer for layer in report.layers if not layer.changed]
    if not changed:
        changed, same = same, []
    places = {layer.name: place for place, layer in enumerate(report.layers)}

    def rows(layers: Sequence[LayerReport]) -> str:
        return "".join(_row(layer, places[layer.name], report, longest or 1, slowest or 1, timed) for layer in layers)

    used = any(layer.pruned.utilisation_percent is not None for layer in report.layers)
    heads = "".join(_head(name, report) for name in HEADS if _shown(name, timed, used))
    body = element("tbody", rows(changed))
    folded = element("tbody", rows(same), id="same") if same else ""
    button = ""
    if same:
        noun = f"{len(same)} layer{'s' if len(same) > 1 else ''}"
        button = element(
            "button", "", class_="action", type="button", hidden=True, data_fold="same",
            data_show=f"Show {noun} that stayed as before", data_hide=f"Hide {noun} that stayed as before",
        )  # fmt: skip
    caption = element("caption", "Layers, dense and pruned", class_="hidden")
    table = element("table", caption, element("thead", element("tr", heads)), body, folded)
    return f'{_key(report, timed)}<div class="scroll">{table}</div><p>{button}</p>'


def _shown(name: str, timed: bool, used: bool) -> bool:
    return used if name == "array used" else timed or name not in ("time", "now", "change", "bound by")


def _head(name: str, report: Report) -> str:
    unit = "cycles" if report.unit == "cycles" else "µs"
    called = {"time": f"{unit}, as bars", "now": unit}.get(name, name)
    left = "start" if name in ("layer", "widths", "MACs", "time", "bound by") else ""
    kind = " ".join(filter(None, (left, _wide(name))))
    return element("th", element("button", text(called), type="button"), scope="col", class_=kind or None)


def _wide(name: str) -> str:
    """Whether a column is left out on a phone, or where there is less room than on a desk: the row's tip says it."""
    if name in ("change", "array used"):
        return "wider"
    return "wide" if name in ("MACs", "removable padding", "bound by") else ""


def _row(layer: LayerReport, place: int, report: Report, longest: int, slowest: int, timed: bool) -> str:
    dense, now = layer.dense, layer.pruned
    removable = _removable(now)
    cells = [
        element("td", text(layer.name), data_v=place),
        element("td", _widths(layer), class_="start", data_v=dense.c_out - now.c_out),
        element("td", _bars(_macs(dense, 0.5), _macs(now, 1.0), longest), class_="bars wide", data_v=now.padded_macs),
        element("td", f"{removable:.1f} %", class_="wide nowrap", data_v=removable),
    ]
    if timed:
        change = 100 * (now.time / dense.time - 1) if now.time is not None and dense.time else 0.0
        cells += [
            element(
                "td", _bars(_time(dense, report, 0.5), _time(now, report, 1.0), slowest), class_="bars", data_v=now.time
            ),
            element("td", _number(now.time, report), class_="nowrap", data_v=now.time),
            element("td", f"{change:+.0f} %" if round(change) else "", class_="wider nowrap", data_v=change),
            element("td", "" if now.bound == "unknown" else now.bound, class_="start wide nowrap", data_v=now.bound),
        ]
    if now.utilisation_percent is not None:
        cells.append(
            element("td", f"{now.utilisation_percent:.0f} %", class_="wider nowrap", data_v=now.utilisation_percent)
        )
    return element("tr", *cells, tabindex="0", data_tip=_tip(layer, report))


def _widths(layer: LayerReport) -> str:
    dense, now = layer.dense, layer.pruned
    before = f'<span class="nowrap">{dense.widths}</span>'
    after = f' <b class="nowrap">⇒ {now.widths}</b>' if layer.narrower else ""
    return before + after + (f' <span class="nowrap">{text(layer.treatment)}</span>' if layer.treatment else "")


def _tip(layer: LayerReport, report: Report) -> str:
    """All of a row in words."""
    dense, now, unit = layer.dense, layer.pruned, "cycles" if report.unit == "cycles" else "µs"
    lines = [
        f"{layer.name}: {layer.kind}, units of {layer.units[0]} in, {layer.units[1]} out",
        f"Useful {human(now.macs)} MACs, removable padding {human(now.padded_macs - now.floor_macs)}, other padding "
        f"{human(now.floor_macs - now.macs)} (dense {human(dense.padded_macs)} in all)",
    ]
    if now.time is not None:
        lines.append(f"{_number(now.time, report)} {unit}, dense {_number(dense.time, report)}")
        if report.memory_waits and now.npu_time is not None:
            lines.append(f"{_number(now.npu_time, report)} of them computing")
    return "\n".join([*lines, *(f"The NPU does not run it: {problem}" for problem in layer.problems)])


def _number(time: int | None, report: Report) -> str:
    if time is None:
        return ""
    return f"{time:,}" if report.unit == "cycles" else f"{time / 1e3:,.1f}"


def _removable(side: Side) -> float:
    return 100 * (side.padded_macs - side.floor_macs) / side.padded_macs if side.padded_macs else 0.0


def _macs(side: Side, opacity: float) -> list[Part]:
    return [
        ("useful", side.macs, opacity),
        ("removable", side.padded_macs - side.floor_macs, opacity),
        ("floor", side.floor_macs - side.macs, opacity),
    ]


def _time(side: Side, report: Report, opacity: float) -> list[Part]:
    time = side.time or 0
    if not report.memory_waits or side.npu_time is None:
        return [("time", time, opacity)]
    computing = min(side.npu_time, time)
    return [("time", computing, opacity), ("waiting", time - computing, opacity)]


def _bars(above: list[Part], below: list[Part], longest: float) -> str:
    """Two bars, the upper one thin. The numbers stand in other cells."""
    rects = []
    for parts, y, height in ((above, 1, 5), (below, 7, 10)):
        x = 0.0
        for colour, length, opacity in parts:
            width = 200 * length / longest
            if width > 0:
                rects.append(
                    element(
                        "rect", x=x, y=y, width=max(width, 0.5), height=height, fill=f"var(--{colour})",
                        fill_opacity=None if opacity == 1.0 else opacity,
                    )
                )  # fmt: skip
            x += width
    return element("svg", *rects, class_="bar", viewBox="0 0 200 18", preserveAspectRatio="none", aria_hidden="true")


def _key(report: Report, timed: bool) -> str:
    names = {"useful": "useful MACs", "removable": "removable padding", "floor": "padding that no cut removes"}
    if timed and report.memory_waits:
        names |= {"time": "computing", "waiting": "waiting for memory"}
    elif timed:
        names["time"] = "time"
    squares = "".join(
        element("span", element("i", style=f"background:var(--{colour})"), text(name)) for colour, name in names.items()
    )
    return (
        '<p class="caption">Each pair of bars: dense above, pruned below. Widths are input→output channels, with what '
        "was done to weights. Layers that changed come first. Headings sort. Point at a row, or tap it, for all of its "
        "numbers."
        f'<span class="narrow"> A wider screen shows more columns.</span></p><p class="caption key">{squares}</p>'
    )
