"""The roofline of a network on a target as one HTML page without scripts or outside files."""

import math
from html import escape

from padless.cost import NetworkCost
from padless.cost.roofline import RooflinePoint, bandwidths, roofline
from padless.errors import UsageError
from padless.hardware import Target
from padless.report.html import document

USEFUL, CYCLES, MEMORY, UNKNOWN = "var(--useful)", "var(--time)", "var(--removable)", "var(--floor)"
BOUNDS = {"compute": USEFUL, "memory": MEMORY, "unknown": UNKNOWN}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 520, 70, 110, 20, 50  # pixels


def roofline_page(cost: NetworkCost, target: Target, title: str) -> str:
    """Utilisation of every layer: a picture and a table. Raises UsageError where peak or cycles are not known."""
    points = roofline(cost, target)
    peak = target.active.macs_per_cycle
    if not points or peak is None or cost.cycles is None:
        raise UsageError(f"No roofline for {target.id}: it needs cycles, and the target's MACs a cycle.")
    total = cost.totals()["macs"] / (cost.cycles.total * peak)
    waiting = sum(p.cycles for p in points if p.bound == "memory") / max(1, sum(p.cycles for p in points))
    body = "\n".join(
        [
            f"<h1>Roofline of {escape(title)}</h1>",
            f"<p>The network uses <b>{total:.1%}</b> of the array's {peak} MACs a cycle; layers that wait for memory take "
            f"{waiting:.0%} of the layers' time. Cycles: {escape(cost.cycles.oracle)}. {escape(cost.cycles.note)}</p>",
            _picture(points, peak, bandwidths(target)),
            '<p class="key">Each circle is a layer, its area its cycles:'
            + "".join(f'<span><i style="background:{c}"></i>{name}-bound</span>' for name, c in BOUNDS.items()
                      if any(p.bound == name for p in points))
            + "</p><p>Useful MACs, without padding; bytes are weights, input and output, read or written once.</p>",
            _table(points),
        ]
    )  # fmt: skip
    return document(f"roofline of {title}", body)


def _picture(points: list[RooflinePoint], peak: int, rates: dict[str, float]) -> str:
    low_x = min(p.intensity for p in points) / 2
    high_x = max([p.intensity for p in points] + [2 * peak / rate for rate in rates.values()]) * 1.5
    low_y, high_y = min(p.rate for p in points) / 2, peak * 2.0

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(value / low_x) / math.log(high_x / low_x)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log(value / low_y) / math.log(high_y / low_y)

    parts = []
    for power in range(math.ceil(math.log10(low_x)), math.floor(math.log10(high_x)) + 1):
        at = x(10.0**power)
        parts.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{HEIGHT - BOTTOM}" stroke="var(--line)"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{10.0**power:g}</text>')
    for power in range(math.ceil(math.log10(low_y)), math.floor(math.log10(high_y)) + 1):
        at = y(10.0**power)
        parts.append(f'<line x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" y2="{at:.1f}" stroke="var(--line)"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    end = WIDTH - RIGHT
    parts.append(
        f'<line x1="{LEFT}" y1="{y(peak):.1f}" x2="{end}" y2="{y(peak):.1f}" stroke="var(--fg)" stroke-width="2"/>'
    )
    parts.append(f'<text x="{end + 5}" y="{y(peak) + 4:.1f}">{peak} MACs/cycle</text>')
    for name, rate in rates.items():
        start = max(low_x, low_y / rate)
        parts.append(
            f'<line x1="{x(start):.1f}" y1="{y(start * rate):.1f}" x2="{x(peak / rate):.1f}" y2="{y(peak):.1f}" '
            f'stroke="{CYCLES}" stroke-width="2" stroke-dasharray="6 4"/>'
            f'<text x="{x(peak / rate):.1f}" y="{y(peak) - 6:.1f}" text-anchor="middle">{name} {rate:g} B/cycle</text>'
        )
    longest = max(p.cycles for p in points)
    for p in sorted(points, key=lambda p: -p.cycles):
        radius = 3 + 17 * math.sqrt(p.cycles / longest)
        parts.append(
            f'<circle cx="{x(p.intensity):.1f}" cy="{y(p.rate):.1f}" r="{radius:.1f}" fill="{BOUNDS[p.bound]}" '
            f'fill-opacity="0.55" stroke="var(--fg)" stroke-width="0.7"><title>{escape(p.name)}: {p.rate:.1f} MACs/cycle, '
            f"{p.intensity:.1f} MACs/byte, {p.cycles:,} cycles</title></circle>"
        )
    parts.append(f'<text x="{(LEFT + end) / 2}" y="{HEIGHT - 8}" text-anchor="middle">useful MACs a byte</text>')
    parts.append(
        f'<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">useful MACs a cycle</text>'
    )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="roofline">{"".join(parts)}</svg>'


def _table(points: list[RooflinePoint]) -> str:
    rows = []
    for p in points:
        bar = (
            f'<svg viewBox="0 0 120 10" style="width:120px;height:10px"><rect width="{1.2 * p.utilisation_percent:.1f}" '
            f'height="10" fill="{BOUNDS[p.bound]}"/><rect width="120" height="10" fill="none" stroke="var(--line)"/></svg>'
        )
        rows.append(
            f"<tr><td>{escape(p.name)}</td><td>{p.macs / 1e6:.2f} M</td><td>{p.cycles:,}</td><td>{p.intensity:.1f}</td>"
            f"<td>{p.rate:.1f}</td><td>{p.utilisation_percent:.1f} %</td><td>{bar}</td><td>{p.bound}</td></tr>"
        )
    heads = ("layer", "MACs", "cycles", "MACs/byte", "MACs/cycle", "utilisation", "", "bound by")
    return "<table><tr>" + "".join(f"<th>{h}</th>" for h in heads) + "</tr>" + "".join(rows) + "</table>"
