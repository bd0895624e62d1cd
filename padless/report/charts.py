"""The pictures of a run's page, as SVG in the colours of its style: staircases, budgets, memory over time, intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from padless.report.report import FamilyPoint, GroupReport, Limit, MomentReport, Report, StageScore
from padless.report.svg import element, human, memory, percent, text
from padless.report.words import Steps, quantity_name, spent

BINS = 60  # moments that the memory's picture has room for
TOP = 14  # pixels above the highest value
LETTER = 6.5  # pixels of one, about


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A picture's size and the place of its axes, in pixels; `top` is the highest value, `low` the lowest."""

    width: int
    height: int
    left: int
    bottom: int
    top: float
    low: float = 0.0
    right: int = 12

    def x(self, share: float) -> float:
        """Of the axis' length, from 0 to 1."""
        return self.left + (self.width - self.left - self.right) * share

    def y(self, value: float) -> float:
        return (
            self.height - self.bottom - (self.height - self.bottom - TOP) * (value - self.low) / (self.top - self.low)
        )

    def rules(self, name: Callable[[float], str]) -> list[str]:
        """Lines at the lowest, the middle and the highest value, with their names."""
        parts = []
        for value in (self.low, (self.low + self.top) / 2, self.top):
            y = self.y(value)
            parts += [
                _line(self.left, y, self.x(1), y, stroke="var(--line)"),
                _label(self.left - 5, y + 4, name(value), anchor="end", class_="dim"),
            ]
        return parts

    def picture(self, parts: Sequence[str], label: str) -> str:
        box = f"0 0 {self.width} {self.height}"
        return element("svg", *parts, viewBox=box, class_="chart", role="img", aria_label=label)


def _line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> str:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, **attributes)


def _label(x: float, y: float, words: str, *, anchor: str = "middle", **attributes: object) -> str:
    return element("text", text(words), x=x, y=y, text_anchor=anchor, **attributes)


def _circle(x: float, y: float, radius: float, tip: str, **attributes: object) -> str:
    return element("circle", cx=x, cy=y, r=radius, data_tip=tip, **attributes)


def staircase(group: GroupReport, report: Report) -> str:
    """What a group's layers cost at each width that was offered; filled the chosen one, a ring the dense one."""
    places = [i for i, cost in enumerate(group.costs) if cost is not None]
    costs = {i: cost for i, cost in enumerate(group.costs) if cost is not None}
    if not costs or max(costs.values()) <= 0:
        return ""
    widest = max(group.width, group.levels[-1])
    frame = Frame(width=280, height=130, left=52, bottom=22, top=max(costs.values()))
    steps, parts = Steps(group), frame.rules(lambda value: _short(value, report))
    named = {places[0], places[-1], *([steps.at] if steps.at is not None else [])}
    for i in places:
        x, y, width = frame.x(group.levels[i] / widest), frame.y(costs[i]), group.levels[i]
        chosen, dense = i == steps.at, width == group.width
        kept = f", keeps {percent(group.shares[i])}" if group.shares else ""
        tip = (
            f"{width} channels: {spent(report, costs[i])}{kept}{' (chosen)' if chosen else ' (dense)' if dense else ''}"
        )
        parts.append(_line(x, frame.y(0), x, y, stroke="var(--time)", stroke_opacity=0.45, stroke_width=2))
        looks = {"fill": "var(--removable)"} if chosen else {"fill": "var(--bg)" if dense else "var(--time)"}
        edge = {"stroke": "var(--time)", "stroke_width": 2} if dense and not chosen else {}
        parts.append(_circle(x, y, 6 if chosen else 4, tip, **looks, **edge))
        if i in named and not (i != steps.at and _near(group, i, steps.at, widest)):
            anchor = "end" if x > frame.x(0.95) else "middle"
            parts.append(_label(x + 6 * (anchor == "end"), frame.height - 6, str(width), anchor=anchor, class_="dim"))
    if steps.at is None:
        x = frame.x(steps.width / widest)
        parts.append(_line(x, frame.y(0), x, TOP, stroke="var(--removable)", stroke_width=2, stroke_dasharray="3 3"))
    label = f"{quantity_name(report)} of its layers at {len(places)} widths; {steps.width} of {group.width} chosen"
    return frame.picture(parts, f"{group.id}: {label}")


def _near(group: GroupReport, i: int, at: int | None, widest: int) -> bool:
    """Whether two widths stand so close that only one is named."""
    return at is not None and abs(group.levels[i] - group.levels[at]) < 0.16 * widest


def _short(value: float, report: Report) -> str:
    name = quantity_name(report)
    return memory(value) if name.startswith("bytes") else f"{value / 1e3:,.3g} µs" if name == "time" else human(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run on the family's picture: its name, and what it spends and keeps, as shares of the dense network's."""

    name: str
    share: float
    kept: float
    tip: str


def family(best: Sequence[FamilyPoint], runs: Sequence[Run], asked: float | None, quantity: str) -> str:
    """Importance kept against cost: the best plans for other budgets, the dense network, and runs."""
    points = [(point.share, point.kept) for point in best]
    lowest = min([kept for _, kept in points] + [run.kept for run in runs])
    frame = Frame(
        width=480, height=230, left=54, bottom=44, top=1.0, low=max(0.0, round(int(10 * lowest) / 10 - 0.1, 1))
    )
    most = max([1.0, *(share for share, _ in points)])
    parts = frame.rules(lambda value: f"{100 * value:g} %")
    parts.append(_label(frame.left, 10, "importance kept", anchor="start", class_="dim"))
    parts += _shares(frame, most, quantity)
    if asked is not None and asked <= most:
        x = frame.x(asked / most)
        parts.append(_line(x, TOP, x, frame.y(frame.low), stroke="var(--dim)", stroke_dasharray="3 4"))
        parts.append(_label(x - 5, frame.y(frame.low) - 6, "asked", anchor="end", class_="dim"))
    for share, kept in points:
        tip = f"{percent(share)} of the {quantity} keep {percent(kept)} of the importance"
        parts.append(_circle(frame.x(share / most), frame.y(kept), 4, tip, fill="var(--useful)"))
    x, y = frame.x(1 / most), frame.y(1.0)
    parts.append(_circle(x, y, 5, "The dense network", fill="var(--bg)", stroke="var(--fg)", stroke_width=2))
    parts.append(_label(x - 10, y + 4 if not points or points[-1][0] < 0.9 else y + 18, "dense", anchor="end"))
    for run in runs:
        x, y = frame.x(min(run.share, most) / most), frame.y(run.kept)
        parts.append(_mark(x, y, run.tip))
        below = 34 if run.kept > frame.top - 0.1 * (frame.top - frame.low) else 18  # the dense network's name is there
        parts.append(_label(x + 12, y + below, run.name, anchor="start"))
    told = "; ".join(f"{run.name}: {percent(run.share)} of the {quantity}, {percent(run.kept)} kept" for run in runs)
    return frame.picture(parts, f"Importance kept against {quantity}. {told}")


def accuracies(points: Sequence[tuple[str, float, StageScore]], unit: str, measured: str) -> str:
    """Runs by name: their share of the dense network's cost, and their accuracy with its interval."""
    ends = [end for _, _, score in points for end in (score.low, score.high, score.percent) if end is not None]
    low, high = max(0.0, min(ends) - 1), min(100.0, max(ends) + 1)
    frame = Frame(width=480, height=220, left=54, bottom=44, top=high, low=low)
    most = max([1.0, *(share for _, share, _ in points)])
    parts = frame.rules(lambda value: f"{value:.1f} %")
    parts += _shares(frame, most, unit)
    for name, share, score in points:
        x, y = frame.x(share / most), frame.y(score.percent)
        if score.low is not None and score.high is not None:
            parts.append(
                _line(x, frame.y(score.low), x, frame.y(score.high), stroke="var(--removable)", stroke_width=2)
            )
        tip = f"{name}: {percent(share)} of the {unit}, {measured} {score.percent:.2f} %"
        parts.append(_mark(x, y, tip))
        parts.append(_label(x + 12, y + 5, name, anchor="start"))
    told = "; ".join(f"{name}: {percent(share)} of the {unit}, {score.percent:.2f} %" for name, share, score in points)
    return frame.picture(parts, f"{measured} against {unit}. {told}")


def _shares(frame: Frame, most: float, quantity: str) -> list[str]:
    """The names along the axis of shares of the dense network."""
    parts = [
        _label(
            frame.x(k / 4 / most), frame.height - 26, f"{25 * k} %", anchor="end" if k == 4 else "middle", class_="dim"
        )
        for k in range(5)
    ]
    return [*parts, _label(frame.x(0.5), frame.height - 6, f"{quantity}, of the dense network's", class_="dim")]


def _mark(x: float, y: float, tip: str) -> str:
    """A run."""
    return element("path", d=f"M{x:.1f} {y - 8:.1f}l8 8-8 8-8-8Z", fill="var(--removable)", data_tip=tip)


def over_time(moments: Sequence[MomentReport], limit: Limit | None) -> str:
    """What lives while each operation runs: the largest maps as blocks, the dense network as a line above them."""
    bins = _binned(moments)
    top = max([moment.bytes for moment in moments] + [moment.dense_bytes for moment in moments])
    top = top or 1  # a network without maps
    peak = max(range(len(bins)), key=lambda i: bins[i].bytes)
    if limit is not None and limit.bytes < 3 * top:
        top = max(top, limit.bytes)
    frame = Frame(width=480, height=200, left=66, bottom=26, top=top * 1.04)
    parts, step = frame.rules(memory), 1 / len(bins)
    for i, moment in enumerate(bins):
        left, width = frame.x(i * step), frame.x(step) - frame.x(0)
        gap = min(1.5, width / 6)
        tip = "\n".join([
            f"{moment.where}: {moment.bytes:,} bytes (dense {moment.dense_bytes:,})",
            *(f"{tensor.bytes:,} made by {tensor.maker}" for tensor in moment.tensors),
        ])  # fmt: skip
        below = 0
        for k, tensor in enumerate(moment.tensors):
            y, height = frame.y(below + tensor.bytes), frame.y(below) - frame.y(below + tensor.bytes)
            below += tensor.bytes
            parts.append(
                element(
                    "rect", x=left + gap, y=y, width=width - 2 * gap, height=max(height - 0.7, 0.4),
                    fill="var(--removable)" if i == peak else "var(--useful)",
                    fill_opacity=(1.0, 0.75, 0.55, 0.4)[min(k, 3)],
                )
            )  # fmt: skip
        dense = frame.y(moment.dense_bytes)
        parts.append(_line(left, dense, left + width, dense, stroke="var(--fg)", stroke_width=1.5))
        parts.append(
            element("rect", x=left, y=TOP, width=width, height=frame.y(0) - TOP, fill="transparent", data_tip=tip)
        )
    x, name = frame.x((peak + 0.5) * step), _clipped(bins[peak].where)
    half = LETTER * len(name) / 2
    parts.append(_line(x, frame.y(0), x, frame.y(0) + 5, stroke="var(--fg)"))
    parts.append(_label(min(max(x, half), frame.width - half), frame.height - 8, name))
    if limit is not None and limit.bytes <= frame.top:
        y = frame.y(limit.bytes)
        parts.append(_line(frame.left, y, frame.x(1), y, stroke="var(--bad)", stroke_width=2))
        parts.append(_label(frame.x(1), y + 14, f"limit {memory(limit.bytes)}", anchor="end"))
    label = f"Bytes that live while each operation runs: most, {bins[peak].bytes:,}, while {bins[peak].where} does"
    return frame.picture(parts, label)


def _binned(moments: Sequence[MomentReport]) -> list[MomentReport]:
    """As many moments as there is room for: of those beside each other the largest."""
    size = -(-len(moments) // BINS)
    parts = [moments[i : i + size] for i in range(0, len(moments), size)]
    return [max(part, key=lambda moment: moment.bytes) for part in parts]


def _clipped(name: str, most: int = 34) -> str:
    return name if len(name) <= most else f"…{name[1 - most :]}"


def interval_bar(tested: StageScore, low: float, high: float) -> str:
    """A stage's percentage as a mark on its interval, on the axis from `low` to `high`."""
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return 3 + 194 * (value - low) / span

    parts = [_line(3, 9, 197, 9, stroke="var(--line)")]
    if tested.low is not None and tested.high is not None:
        parts.append(_line(x(tested.low), 9, x(tested.high), 9, stroke="var(--useful)", stroke_width=3))
    parts.append(element("rect", x=x(tested.percent) - 1.5, y=2, width=3, height=14, fill="var(--useful)"))
    return element("svg", *parts, viewBox="0 0 200 18", class_="bar", aria_hidden="true", preserveAspectRatio="none")
