"""The head of a run's page: its numbers, whether it fits, what binds it, and its accuracy stage by stage."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from padless.report.charts import interval_bar
from padless.report.making import wilson
from padless.report.report import Limit, Report, StageScore
from padless.report.summary import Summary
from padless.report.svg import duration, element, human, memory, percent, table, text
from padless.report.words import accuracy_change, bound, interval

STAGES = {
    "dense": "dense", "cut": "as cut", "recovered": "recovered without labels", "final": "in the end",
    "dense, INT8": "dense, INT8 simulated", "final, INT8": "the last, INT8 simulated",
}  # fmt: skip
OPTION = re.compile(r"(--[a-z-]+)")
NAMES = {"sram": "SRAM", "flash": "flash"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    """A headline number, what it was, and whether that is good (None: neither)."""

    name: str
    value: str
    told: str
    good: bool | None = None
    more: str = ""


def tiles(summary: Summary, report: Report) -> str:
    """The numbers that people came for."""
    before, after = summary.before, summary.after
    shown = [_accuracy(summary, report)]
    if before["cycles"] and after["cycles"]:
        shown.append(_less("cycles", before["cycles"], after["cycles"], human))
    nanoseconds = [1e6 * side["milliseconds"] if side["milliseconds"] else None for side in (before, after)]
    if nanoseconds[0] and nanoseconds[1]:
        clock = after["clock_hz"]
        estimated = f"estimated at {clock / 1e6:g} MHz, not measured" if clock else ""
        shown.append(_less("time", nanoseconds[0], nanoseconds[1], duration, estimated))
    shown.append(_less("weights", before["weight_bytes"], after["weight_bytes"], memory))
    peaks = [side["peak_sram_bytes"] or side["peak_activation_bytes"] for side in (before, after)]
    if peaks[0] and peaks[1]:
        shown.append(
            _less("peak SRAM", peaks[0], peaks[1], memory, "" if after["peak_sram_bytes"] else "by live ranges")
        )
    shown.append(_less("MACs", before["macs"], after["macs"], human))
    was, now = before["avoidable_macs_percent"], after["avoidable_macs_percent"]
    shown.append(
        _Tile(
            name="removable padding",
            value=f"{now:.1f} %",
            told=f"of the MACs; was {was:.1f} %",
            good=True if now < was - 0.05 else None,
        )
    )
    return f'<div class="tiles">{"".join(map(_tile, shown))}</div>'


def _less(name: str, before: float, after: float, show: Callable[[float], str], more: str = "") -> _Tile:
    change = 100 * (after / before - 1) if before else 0.0
    told = f"{change:+.0f} %, was {show(before)}" if round(change) else f"as before, {show(before)}"
    return _Tile(name=name, value=show(after), told=told, good=None if not round(change) else change < 0, more=more)


def _accuracy(summary: Summary, report: Report) -> _Tile:
    tests = {tested.stage: tested for tested in report.stages}
    final, dense = tests.get("final"), tests.get("dense")
    if final is None:
        return _Tile(name="accuracy", value="not tested", told="give --data to test and recover it")
    change, lost = accuracy_change(report)
    was = f"dense {dense.percent:.2f} %. " if dense else ""
    between = f"95 % interval {interval(final)} on {report.test_images:,} test images" if interval(final) else ""
    between += "".join(
        f". {name}, in its own interpreter: {file.accuracy:.2f} %"
        for name, file in summary.files.items()
        if file.accuracy is not None and file.tested
    )
    return _Tile(
        name=report.measured, value=f"{final.percent:.2f} %", told=f"{was}{change[:1].upper()}{change[1:]}",
        good=None if lost is None else not lost, more=between,
    )  # fmt: skip


def _tile(tile: _Tile) -> str:
    tone = {True: "ok", False: "bad", None: "dim"}[tile.good]
    more = element("span", text(tile.more), class_="dim") if tile.more else ""
    return element(
        "div", element("span", text(tile.name), class_="dim"), f"<b>{text(tile.value)}</b>",
        element("span", text(tile.told), class_=tone), more, class_="tile",
    )  # fmt: skip


def fits(summary: Summary, report: Report) -> str:
    """Memories against their limits."""
    if not report.limits:
        return (
            '<p class="dim">Whether it fits: <code>padless report . --limit sram=256KiB,flash=1MB</code> draws it against '
            "your board's memories.</p>"
        )
    bars = (_fit(limit, *used, summary, report) for limit, used in memories(summary, report))
    return f'<div class="fits">{"".join(bars)}</div>'


def memories(summary: Summary, report: Report) -> list[tuple[Limit, tuple[int, int]]]:
    """Each limit with what the dense and the pruned network need of it, in bytes."""
    found = []
    for limit in report.limits:
        sides = (summary.before, summary.after)
        if limit.of == "sram":
            dense, now = (side["peak_sram_bytes"] or side["peak_activation_bytes"] or 0 for side in sides)
        else:
            pairs = zip(report.flash_bytes, sides, strict=True)
            dense, now = (known or side["padded_weight_bytes"] for known, side in pairs)
        found.append((limit, (dense, now)))
    return found


def misfits(summary: Summary, report: Report) -> list[str]:
    """A sentence for each memory that is too small."""
    return [
        f"Does not fit: {memory(now)} for {memory(limit.bytes)} of {NAMES[limit.of]} ({limit.source})."
        for limit, (_, now) in memories(summary, report)
        if now > limit.bytes
    ]


def _fit(limit: Limit, dense: int, now: int, summary: Summary, report: Report) -> str:
    name = NAMES[limit.of]
    if limit.of == "sram":
        what = "at its peak" if summary.after["peak_sram_bytes"] else "of activations, by live ranges"
    else:
        what = "of constants, by the compiler" if report.flash_bytes[1] else "of weights"
    most, fits = max(now, limit.bytes) or 1, now <= limit.bytes
    told = f"{memory(now)} {what}, of {memory(limit.bytes)} ({limit.source}): {percent(now / limit.bytes)}."
    was = f"Before: {memory(dense)}, {'fitted' if dense <= limit.bytes else 'did not fit'}."
    bars = [
        element("i", style=f"width:{min(100.0, 100 * dense / most):.1f}%;background:var(--before)"),
        element("i", style=f"width:{100 * now / most:.1f}%;background:var(--{'time' if fits else 'bad'})"),
        element("i", style=f"left:{min(99.2, 100 * limit.bytes / most):.1f}%;width:3px;background:var(--fg)"),
    ]
    meter = element(
        "div", *bars, class_="meter", role="meter", aria_label=f"{name} used", aria_valuemin=0, aria_valuemax=most,
        aria_valuenow=now, aria_valuetext=told,
    )  # fmt: skip
    tone, word = ("ok", "fits") if fits else ("bad", "does not fit")
    head = f'<b>{name}</b> <span class="{tone}">{word}</span>'
    return element("div", head, meter, element("span", text(f"{told} {was}"), class_="dim"), class_="fit")


def bound_by(report: Report) -> str:
    """What holds the network back, and what follows."""
    head, advice = bound(report)
    if not head and not advice:
        return ""
    told = OPTION.sub(r'<code class="nowrap">\1</code>', text(advice))
    return f'<div class="say">{f"<b>{text(head)}</b> " if head else ""}{told}</div>'


def stages(summary: Summary, report: Report) -> str:
    """Accuracy stage by stage, on one axis."""
    done = ["fine-tuned"] * bool(summary.epochs or summary.finetuning) + ["weights treated"] * bool(summary.treating)
    named = STAGES | ({"final": ", ".join(done)} if done else {})
    rows = [(named[tested.stage], tested) for tested in report.stages]
    if not done and any(tested.stage == "recovered" for tested in report.stages):
        rows = [(name, tested) for name, tested in rows if tested.stage != "final"]  # the same network
    for name, file in summary.files.items():
        if file.accuracy is not None:
            low, high = wilson(file.accuracy, file.images) if file.images else (None, None)
            rows.append(
                (
                    f"{name}, in its interpreter",
                    StageScore(stage="final", percent=min(100.0, max(0.0, file.accuracy)), low=low, high=high),
                )
            )
    if len(rows) < 2:
        return ""
    ends = [end for _, tested in rows for end in (tested.low, tested.high, tested.percent) if end is not None]
    low, high = max(0.0, min(ends) - 1), min(100.0, max(ends) + 1)
    cells = [
        (text(name), f"{tested.percent:.2f} %", interval(tested), interval_bar(tested, low, high))
        for name, tested in rows
    ]
    heads = ("stage", report.measured, "95 % interval", f"from {low:.0f} to {high:.0f} %")
    count = f" On {report.test_images:,} test images; intervals by Wilson's formula." if report.test_images else ""
    return (
        f"<h2>{report.measured.capitalize()}, stage by stage</h2>"
        f'<p class="caption">Where intervals overlap, the stages may be equally good.{count}</p>'
        f"{table(f'{report.measured} of each stage', heads, cells, left=(3,))}"
    )
