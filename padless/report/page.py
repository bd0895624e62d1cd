"""A run as one HTML page without scripts or outside files: what was wasted, what is left, what it costs."""

from collections.abc import Callable, Mapping
from html import escape

from padless.choose.budget import amount
from padless.cost import LayerCost, NetworkCost
from padless.report.files import section
from padless.report.html import document
from padless.report.picture import COLOURS
from padless.report.summary import Summary
from padless.report.tables import ROWS, who_counted

USEFUL, AVOIDABLE, CYCLES = COLOURS["blue"], COLOURS["vermilion"], COLOURS["green"]
FIXED = "#BBBBBB"
STAYS = "padding that no cut can remove"
NOT_CHARGED = {"cost": "padding that the compiler does not charge for, or that no cut can remove"}  # by alignment
ROW, LABEL, WIDTH = 30, 230, 960  # pixels

Parts = list[tuple[str, float]]  # colour and length of each part of a bar


def page(summary: Summary, dense: NetworkCost, pruned: NetworkCost) -> str:
    """The report of a run: headline, totals, MACs and cycles of every layer before and after."""
    title = f"{summary.model} on {summary.target}"
    sections = [
        f"<h1>{escape(title)}</h1>",
        *(
            f"<p>Asked <b>{escape(budget.budget)}</b> (at most {amount(budget.budget, budget.asked, summary.before)}), "
            f"achieved <b>{amount(budget.budget, budget.achieved, summary.before)}</b>.</p>"
            for budget in summary.budgets
        ),
        f"<p>{_solver(summary)}{escape(who_counted(summary.after))} "
        f"Sliced equals masked to {summary.equivalence_max_error:.1e}.</p>",
        *(f'<p class="note">{escape(note)}</p>' for note in summary.notes),
        _totals(summary),
        section(summary.files),
        "<h2>What each layer multiplies</h2>",
        _key(
            {
                "useful": USEFUL,
                "padding that aligned widths remove": AVOIDABLE,
                NOT_CHARGED.get(summary.align, STAYS): FIXED,
            }
        ),
        _chart(dense, pruned, _macs, "MACs, with padding"),
    ]
    if dense.cycles and pruned.cycles:
        sections += ["<h2>What each layer takes</h2>", _chart(dense, pruned, _cycles, dense.unit)]
    sections.append(f"<p><code>{escape(summary.command)}</code><br>{escape(_versions(summary.versions))}, "
                    f"seed {summary.seed}</p>")  # fmt: skip
    return document(title, "\n".join(sections))


def _solver(summary: Summary) -> str:
    kept = f"Importance kept ({escape(summary.importance)}): {100 * summary.importance_kept:.2f} %. "
    if not summary.solver:
        return kept
    return f"{kept}No choice of widths keeps more than {round(100 * summary.solver.gap, 4):g} % above that, by the tables. "


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _totals(summary: Summary) -> str:
    rows = []
    for label, key, style in ROWS:
        values = [side.get(key) for side in summary.sides.values()]
        if any(value is not None for value in values):
            cells = "".join(f"<td>{'' if v is None else format(v, style)}</td>" for v in values)
            rows.append(f"<tr><td>{escape(label.strip())}</td>{cells}</tr>")
    return "<table><tr><th></th><th>dense</th><th>pruned</th></tr>" + "".join(rows) + "</table>"


def _key(colours: Mapping[str, str]) -> str:
    return '<p class="key">' + "".join(f'<span style="background:{c}"></span>{n}' for n, c in colours.items()) + "</p>"


def _macs(row: LayerCost) -> Parts:
    cost = row.cost
    return [(USEFUL, cost.macs), (AVOIDABLE, cost.padded_macs - cost.floor_macs), (FIXED, cost.floor_macs - cost.macs)]


def _cycles(row: LayerCost) -> Parts:
    return [(CYCLES, row.cycles or 0)]


def _chart(dense: NetworkCost, pruned: NetworkCost, parts: Callable[[LayerCost], Parts], unit: str) -> str:
    """Two bars a layer, dense above pruned, on one linear scale."""
    longest = max((sum(n for _, n in parts(row)) for row in (*dense.layers, *pruned.layers)), default=0) or 1
    scale = (WIDTH - LABEL - 150) / longest
    bars = []
    for i, (before, after) in enumerate(zip(dense.layers, pruned.layers, strict=True)):
        y = 24 + i * ROW
        widths = f"{before.layer.c_in}→{before.layer.c_out}, now {after.layer.c_in}→{after.layer.c_out}"
        bars.append(f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(_short(before.layer.name))}</text>')
        for row, top, opacity in ((before, y, 0.45), (after, y + 11, 1.0)):
            x = float(LABEL)
            for colour, length in parts(row):
                bars.append(
                    f'<rect x="{x:.1f}" y="{top}" width="{length * scale:.1f}" height="10" fill="{colour}" '
                    f'fill-opacity="{opacity}"/>'
                )
                x += length * scale
            total = sum(n for _, n in parts(row))
            bars.append(f'<text x="{x + 5:.1f}" y="{top + 9}" style="font-size:10px">{_human(total)}</text>')
        bars.append(f'<rect x="0" y="{y}" width="{WIDTH}" height="{ROW - 8}" fill="transparent">'
                    f"<title>{escape(before.layer.name)}: {widths}</title></rect>")  # fmt: skip
    height = 30 + len(dense.layers) * ROW
    head = f'<text x="{LABEL}" y="14">{unit}: dense above (pale), pruned below</text>'
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{unit} per layer">{head}{"".join(bars)}</svg>'


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"…{name[-31:]}"


def _human(number: float) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {suffix}"
    return f"{number:.0f}"
