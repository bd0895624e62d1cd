"""A run as one HTML page, from its summary and its report alone: what was asked, what came of it, why, and what next."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from padless.report.beside import beside_section
from padless.report.charts import Run, family, over_time
from padless.report.files import section
from padless.report.headline import NAMES, bound_by, fits, memories, misfits, stages, tiles
from padless.report.html import document
from padless.report.layertable import layer_table
from padless.report.reasons import reasons
from padless.report.report import Curves, GroupReport, Report
from padless.report.summary import Summary
from padless.report.svg import duration, element, folded, listed, memory, percent, table, text
from padless.report.tables import ROWS, footnote, who_counted
from padless.report.words import accuracy_change, quantity_name, verdict, weights_bind


def page(summary: Summary, report: Report) -> str:
    """The page of a run."""
    title = f"{summary.model} on {summary.target}"
    parts = [
        f"<h1>{text(title)}</h1>",
        *(
            element("p", f"{'✓' if budget.met else '✗'} {text(verdict(budget, summary))}",
                    class_=f"verdict {'ok' if budget.met else 'bad'}")
            for budget in summary.budgets
        ),
        *(
            element("p", f"✗ {text(misfit)}", class_="verdict bad")
            for misfit in misfits(summary, report)
        ),
        f'<p class="dim">{text(who_counted(summary.after))} {_kept(summary)} Checked: the cut network gives what the dense '
        f"one gives with these channels at zero, to {summary.equivalence_max_error:.1e}.</p>",
        *(f'<p class="note">{text(note)}</p>' for note in summary.notes),
        tiles(summary, report),
        fits(summary, report),
        bound_by(report),
        stages(summary, report),
        beside_section(summary, report),
        "<h2>Layers</h2>",
        layer_table(report),
        _footnote(summary, report),
        reasons(summary, report),
        _family(summary, report),
        _memory(report),
        section(summary.files),
        _totals(summary),
        _next(summary, report),
        _again(summary, report),
    ]  # fmt: skip
    return document(title, "\n".join(filter(None, parts)), scripted=True)


def _kept(summary: Summary) -> str:
    kept = (
        f"Importance kept ({text(summary.importance)}): {100 * summary.importance_kept:.2f} %; it orders choices, and is no "
        "accuracy."
    )
    if not summary.solver:
        return kept
    gap = round(100 * summary.solver.gap, 4)
    beyond = f" by more than {gap:g} %" if gap else ""
    if summary.treat:
        return (
            f"{kept} By the tables of what each layer costs, no choice of widths and of the treatments that were offered "
            f"keeps more within the budget ({100 * (1 - summary.spare):.4g} % of it, the rest being spare for weights that "
            f"compress worse than planned), less what treatments are expected to lose{beyond}."
        )
    return f"{kept} By the tables of what each layer costs, no choice of widths within the budget beats that{beyond}."


def _footnote(summary: Summary, report: Report) -> str:
    beside = ""
    if report.between > 0:
        amount = duration(report.between) if report.unit == "ns" else f"{report.between:,} cycles"
        beside = f"Pools, additions and copies between the layers take {amount} more. "
    return f'<p class="caption">{text(beside + footnote(summary.sides, summary.align))}</p>'


def _family(summary: Summary, report: Report) -> str:
    curves = report.curves
    if curves is None or curves.kept is None or not curves.family or not curves.dense:
        return ""
    name, own = quantity_name(report), _scale(summary, curves)
    final = next((tested for tested in report.stages if tested.stage == "final"), None)
    tested = f", {report.measured} {final.percent:.2f} %" if final else ""
    share = own(curves.spent / curves.dense)
    run = Run(
        name=f"this run{tested}", share=share, kept=curves.kept,
        tip=f"This run: {percent(share)} of the {name} keep {percent(curves.kept)} of the importance{tested}",
    )  # fmt: skip
    spends = ((budget.asked, _totals_of(budget.budget.partition("=")[0], summary)[0]) for budget in summary.budgets)
    asked = next((most / dense for most, dense in spends if dense), None)
    of_table = _asked_on(summary, report)
    points = [replace(point, share=own(point.share)) for point in curves.family]
    lines = [(point.share, point.kept, _narrower(point.widths, report.groups)) for point in points]
    widths = [group.kept + group.zeros for group in report.groups]
    lines.append((share, curves.kept, f"this run: {_narrower(widths, report.groups)}"))
    rows = [(percent(spent), percent(kept), text(narrower)) for spent, kept, narrower in sorted(lines)]
    heads = (f"{name}, of dense", "importance kept", "groups that are narrower")
    treated = " The layers have this run's treatments." if summary.treating else ""
    steps = " It is the dense network's; later steps scored anew." if summary.steps > 1 else ""
    picture = family(points, [run], asked if of_table else None, name)
    return (
        "<h2>What other budgets would keep</h2>"
        f'<p class="caption">Each mark is the best choice of widths for another budget on {text(name)} alone. Costs are '
        "sums over layers, scaled so that this run and the dense network stand at their totals. Importance is by "
        f"{text(summary.importance)}.{steps}{treated}</p>"
        f"<figure>{picture}</figure>{folded('The same as a table', table('Other budgets', heads, rows, left=(2,)))}"
    )


def _scale(summary: Summary, curves: Curves) -> Callable[[float], float]:
    """Shares of the tables' sums as shares of the network's totals: the run's own is known, what lies around it a guess."""
    dense, pruned = _totals_of(curves.quantity, summary)
    at = curves.spent / curves.dense
    if not dense or not pruned or not 0 < at < 1:
        return lambda share: share
    own = pruned / dense
    return lambda share: share * own / at if share <= at else own + (share - at) * (1 - own) / (1 - at)


def _narrower(widths: Sequence[int], groups: Sequence[GroupReport]) -> str:
    cut = (f"{group.id} {width}" for group, width in zip(groups, widths, strict=True) if width < group.width)
    return ", ".join(cut) or "none"


def _totals_of(quantity: str, summary: Summary) -> tuple[float, float]:
    """What the dense and the pruned network spend of what a budget is on; 0 where it is not known."""
    timed = quantity in ("cycles", "latency")
    key = ("nanoseconds" if summary.before["cycles"] is None else "cycles") if timed else quantity
    dense, pruned = (side.get(key) for side in (summary.before, summary.after))
    return _number(dense), _number(pruned)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _asked_on(summary: Summary, report: Report) -> bool:
    """Whether the first budget is on what the curves count."""
    quantity = summary.budgets[0].budget.partition("=")[0] if summary.budgets else ""
    counted = "cycles" if quantity == "latency" else quantity
    return report.curves is not None and counted == report.curves.quantity


def _memory(report: Report) -> str:
    if not report.memory:
        return ""
    peak = max(report.memory, key=lambda moment: moment.bytes)
    limit = next((limit for limit in report.limits if limit.of == "sram"), None)
    makers = listed([f"{tensor.maker} ({memory(tensor.bytes)})" for tensor in peak.tensors])
    return (
        "<h2>Memory over time</h2>"
        '<p class="caption">What lives while operations run, by live ranges of whole maps, where more lives than just '
        "before or after; blocks are maps, the line above them is the dense network. The compiler's peak may be lower (it "
        "cuts maps into stripes) or higher (it buffers weights).</p>"
        f"<p>Most lives while <b>{text(peak.where)}</b> runs: {memory(peak.bytes)}, outputs of {text(makers)}.</p>"
        f"<figure>{over_time(report.memory, limit)}</figure>"
    )


def _totals(summary: Summary) -> str:
    rows = []
    for label, key, style in ROWS:
        values = [side.get(key) for side in summary.sides.values()]
        if any(value is not None for value in values):
            cells = ("" if value is None else format(value, style) for value in values)
            rows.append((text(label.strip()), *cells))
    content = table("Totals", ("quantity", *summary.sides), rows)
    return f"<h2>Totals</h2>{folded('All numbers of both networks', content)}"


def _next(summary: Summary, report: Report) -> str:
    """Commands for this folder, each with its reason."""
    ways = []
    missed = [budget for budget in summary.budgets if not budget.met]
    if missed:
        ways.append((f"{missed[0].budget} was missed: prune again with a slightly smaller one.", ""))
    _, lost = accuracy_change(report)
    if lost:
        ways.append(
            (f"The {report.measured} is lower than the dense network's: fine-tune.", "padless finetune . --epochs 10")
        )
    if (
        summary.data
        and not summary.treat
        and not summary.treating
        and weights_bind(report)
        and report.flash_bytes[1] is not None
    ):
        way = "It waits for its weights: bring them to few values, which the compiler stores in fewer bytes. Train before."
        ways.append((way, "padless treat . grid:17"))
    if summary.data and not summary.files:
        compiled = " --compile" if summary.target.startswith("ethos-u") else ""
        ways.append(
            ("Write the file that is flashed, and measure it in its own interpreter.", f"padless export .{compiled}")
        )
    elif not summary.files:
        ways.append(("Write the network as ONNX; INT8 needs --data.", "padless export . --format onnx"))
    ways += [(f"{what}: ask for less of it, too.", command) for what, command in _smaller(summary, report)]
    if not report.limits:
        ways.append(("See whether it fits your board.", "padless report . --limit sram=256KiB,flash=1MB"))
    ways.append(("Compare it with another run.", "padless report . ../OTHER"))
    items = "".join(
        f"<li>{_copied(why, command, f'next{i}') if command else text(why)}</li>"
        for i, (why, command) in enumerate(ways)
    )
    return f'<h2>What next</h2><p class="caption">In the folder of this page:</p><ul>{items}</ul>'


def _smaller(summary: Summary, report: Report) -> list[tuple[str, str]]:
    """For each memory that is too small, the run's command with a budget on what it holds."""
    if not summary.command.startswith("padless prune "):
        return []
    ways = []
    for limit, used in memories(summary, report):
        if used[1] > limit.bytes:
            quantity, most = "sram", limit.bytes
            if limit.of == "flash":  # the compiler packs weights, so that more of them fit
                quantity, most = "weight_bytes", int(limit.bytes * min(2.0, summary.after["weight_bytes"] / used[1]))
            ways.append((f"{NAMES[limit.of]} is too small", f"{summary.command} --budget {quantity}={most}"))
    return ways


def _copied(what: str, content: str, id: str) -> str:
    """A text with its name and a button that copies it."""
    label = f"Copy: {what}"
    button = element("button", "Copy", class_="action", type="button", data_copy=id, hidden=True, aria_label=label)
    return f'<p>{text(what)} {button}</p><pre id="{id}">{text(content)}</pre>'


def _again(summary: Summary, report: Report) -> str:
    widths = json.dumps({name: layer.c_out[1] for name, layer in summary.widths.items()})
    versions = ", ".join(f"{name} {version}" for name, version in summary.versions.items())
    told = ",".join(f"{limit.of}={limit.bytes}" for limit in report.limits if limit.source == "--limit")
    limits = _copied("These limits:", f"padless report . --limit {told}", "limits") if told else ""
    return (
        f"<h2>Again</h2>{_copied('The command:', summary.command, 'command')}{limits}"
        f"{_copied('The output channels of each layer, as JSON:', widths, 'widths')}"
        f'<p class="dim">{text(versions)}, seed {summary.seed}.</p>'
    )
