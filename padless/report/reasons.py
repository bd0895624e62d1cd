"""Why each group of channels is as wide as it is: those that could be chosen as cards, the others as rows."""

from padless.report.charts import staircase
from padless.report.report import GroupReport, Report
from padless.report.summary import Summary
from padless.report.svg import folded, listed, table, text
from padless.report.words import cut_of, not_less, not_more, pays_most, quantity_name

CARDS = 12  # groups that are shown at once


def reasons(summary: Summary, report: Report) -> str:
    """Why each group is as wide as it is: those that could be chosen as cards, the others as rows."""
    free = sorted((group for group in report.groups if group.costs), key=_weight, reverse=True)
    rest = [group for group in report.groups if not group.costs]
    parts = []
    if free:
        told = f"{quantity_name(report)} of its layers at each width that was offered, the others as they are"
        cards = [_card(group, summary, report) for group in free]
        more = len(cards) - CARDS
        parts += [
            "<h2>Why not less, why not more</h2>",
            f"<p>{text(pays_most(report))}</p>" if pays_most(report) else "",
            f'<p class="caption">Groups of channels that are cut together: those first that were cut, or whose layers cost '
            f"most. Each picture: {told}; the large mark is the chosen width, a ring the dense one. Costs are sums over "
            "layers, as the tables have them. What is worth so much elsewhere keeps as much importance as so much more "
            "spent on other groups would, at this budget.</p>",
            f'<div class="cards">{"".join(cards[:CARDS])}</div>',
        ]
        if more > 0:
            noun = f"{more} more group{'s' if more > 1 else ''}"
            parts.append(folded(noun, f'<div class="cards">{"".join(cards[CARDS:])}</div>'))
    elif report.curves is None:
        parts.append(
            "<h2>Why not less, why not more</h2><p>The widths were chosen by one ratio for all groups, and no costs of "
            "other widths were asked for. Choose with <code>--allocate optimal</code> to see them.</p>"
        )
    if rest:
        noun = f"{len(rest)} group{'s' if len(rest) > 1 else ''} without another width"
        rows = table("Groups of one width", ("group", "channels", "why"), map(_row, rest), left=(2,))
        parts.append(folded(noun, rows, opened=len(rest) <= CARDS))
    return "\n".join(filter(None, parts))


def _weight(group: GroupReport) -> tuple[bool, float]:
    """Cut groups first, then by what they cost."""
    return group.kept < group.width, max((cost for cost in group.costs if cost is not None), default=0.0)


def _card(group: GroupReport, summary: Summary, report: Report) -> str:
    words = (cut_of(group, report), not_less(group, report), not_more(group, report, summary))
    told = "".join(f"<p>{text(sentence)}</p>" for sentence in words if sentence)
    also = [name for name in group.writers if name != group.id]
    more = f'<p class="dim">also of {text(listed(also))}</p>' if also else ""
    zeros = f" + {group.zeros} of zeros" if group.zeros else ""
    head = f"<h3>{text(group.id)}: {group.kept}{zeros} of {group.width}</h3>"
    return f'<figure class="card">{head}{more}{staircase(group, report)}{told}</figure>'


def _row(group: GroupReport) -> tuple[str, str, str]:
    why = group.pinned or group.least or "no other width is offered"
    kept = str(group.kept) if group.kept == group.width else f"{group.kept} of {group.width}"
    also = [name for name in group.writers if name != group.id]
    return text(listed([group.id, *also])), kept, text(why)
