"""What the user wants of single groups: layers that stay, least and greatest widths, a floor of importance."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import numpy as np

from padless.align import Levels
from padless.align.units import Units
from padless.choose.choices import Choices
from padless.cost.fixed import fixed_layers
from padless.errors import UsageError, suggest
from padless.graph import ChannelGroup, Graph
from padless.hardware import Target
from padless.importance import Importance

REASONS = 5  # that a message lists


def restricted(levels: Levels, graph: Graph, curves: Importance, choices: Choices) -> Levels:
    """The levels that `freeze`, `widths` and `floor` leave. Groups are named by a layer that writes them.

    A frozen group keeps all its channels. `widths` are (least, greatest). `floor` is the share of a group's importance
    that it keeps at least.

    Raises UsageError for a name that matches no layer, or where no feasible width is left.
    """
    left = dict(levels.widths)
    for pattern, between in _bounds(choices).items():
        for group in _matching(graph, pattern):
            left[group.id] = np.array([group.width]) if between is None else _between(left, group, between)
    for group in graph.groups if choices.floor else ():
        curve = curves.curves[group.id]
        enough = curve.at(left[group.id]) >= choices.floor * curve.kept[-1] - 1e-12
        left[group.id] = left[group.id][enough] if enough.any() else left[group.id][-1:]
    return replace(levels, widths=left)


def bounded(graph: Graph, choices: Choices) -> set[str]:
    """The groups that are frozen, or have a least width."""
    return {group.id for pattern in _bounds(choices) for group in _matching(graph, pattern)}


def _bounds(choices: Choices) -> dict[str, tuple[int, int] | None]:
    return {**dict.fromkeys(choices.freeze), **choices.widths}


def _matching(graph: Graph, pattern: str) -> list[ChannelGroup]:
    """The groups that a layer which writes them names."""
    names = {group.id: {group.id, *(m.layer for m in group.members if m.side == "out")} for group in graph.groups}
    matching = [g for g in graph.groups if any(fnmatchcase(name, pattern) for name in names[g.id])]
    if not matching:
        known = sorted(name for aliases in names.values() for name in aliases)
        raise UsageError(f"No layer is called {pattern!r}. {suggest(pattern, known) or 'See padless inspect.'}")
    return matching


def _between(left: Mapping[str, np.ndarray], group: ChannelGroup, between: tuple[int, int]) -> np.ndarray:
    levels = left[group.id]
    inside = levels[(levels >= between[0]) & (levels <= between[1])]
    if group.pinned or not len(inside):
        feasible = ", ".join(map(str, levels.tolist()[:12])) + (", ..." if len(levels) > 12 else "")
        raise UsageError(
            f"{group.id} cannot have from {between[0]} to {between[1]} channels: "
            + (f"it must stay ({group.pinned})." if group.pinned else f"the target's units allow {feasible}.")
        )
    return inside


def check_prunable(graph: Graph) -> None:
    """Raises UsageError when no channel of the network may be cut, with every reason and the layers that it holds for."""
    if any(g.pinned is None for g in graph.groups):
        return
    reasons: dict[str, list[str]] = {}
    for group in graph.groups:
        reasons.setdefault(group.pinned or "", []).append(group.id)
    for layer in fixed_layers(graph):
        reasons.setdefault(layer.reason, []).append(layer.layer)
    lines = [f"\n  {_few(layers)}: {reason}" for reason, layers in reasons.items()]
    none = "" if lines else "\n  the whole network: it has no convolution or linear layer that can be seen in its run"
    raise UsageError(
        "There is nothing to prune: no layer of this network has output channels that may be cut."
        + "".join(lines)
        + none
    )


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What keeps groups wide that could be cut: the target's units, or what was frozen and limited.

    `by_unit` and `by_choice` are groups of one width; `binding` those that a unit keeps from being narrower, the ones whose
    layers compute most at their narrowest first. `least` has a reason for each group that could be narrower without its unit
    or choice.
    """

    by_unit: tuple[str, ...] = ()
    by_choice: tuple[str, ...] = ()
    binding: tuple[str, ...] = ()
    least: Mapping[str, str] = field(default_factory=dict)
    limited: bool = False  # whether anything was frozen or limited
    aligned: bool = True
    finer: bool = False  # whether a compiler's costs could allow widths that the units do not
    shallower: Callable[[], bool] = bool  # whether branches could go that were not asked for

    def explain(self) -> str:
        """What to try where every group has one width, and the groups with their reasons."""
        ways = ["freeze or limit fewer layers"] * bool(self.by_choice)
        if self.by_unit:
            ways += ["use --align cost, which lets the compiler's costs decide"] * self.finer
            ways += ["use --align none, which leaves units partly empty, or a target of smaller units"]
        way = ", or ".join(ways) or "ask for more"
        return f"{way[0].upper()}{way[1:]}." + _listed((*self.by_unit, *self.by_choice))

    def loosen(self) -> str:
        """What to try where even the narrowest widths cost too much, and the units that bind there."""
        ways = ["Ask for that or more"]
        ways += ["let whole branches go (--depth)"] * self.shallower()
        ways += ["cut in finer steps (--align cost)"] * self.finer
        ways += ["cut outside the units (--align none)"] * self.aligned
        return f"{', or '.join(ways)}." + (_listed(self.binding) if self.aligned else "")


def _listed(reasons: tuple[str, ...]) -> str:
    more = f"\n  and {len(reasons) - REASONS} more" if len(reasons) > REASONS else ""
    return "".join(f"\n  {reason}" for reason in reasons[:REASONS]) + more


def held(
    graph: Graph,
    target: Target,
    levels: Levels,
    chosen: Levels,
    *,
    aligned: bool = True,
    finer: bool = False,
    shallower: Callable[[], bool] = bool,
) -> Held:
    """Why groups are no narrower. `levels` are those of the target, `chosen` what freezing and limits left of them."""
    layers, units = {layer.name: layer for layer in graph.layers}, Units(target)
    work = _least_macs(graph, chosen)
    by_unit, by_choice, binding, reasons = [], [], [], dict[str, str]()
    for group in graph.groups:
        if group.pinned or group.id in chosen.branches.groups:  # these may have none at all
            continue
        offered, least = levels.widths[group.id], int(chosen.widths[group.id][0])
        if len(chosen.widths[group.id]) == 1 < len(offered):
            reasons[group.id] = f"frozen or limited to {least} channels"
            by_choice.append(f"{group.id}: {reasons[group.id]}")
            continue
        needed = [(units.at(layers[m.layer], m.side, least * m.repeats) // m.repeats, m) for m in group.members]
        finest = max(1, min(unit for unit, _ in needed))
        narrower = np.arange(finest, least, finest)
        unit, member = max(needed, key=lambda pair: (
            offered[0] % max(1, pair[0]) == 0, pair[0],
            np.count_nonzero(~units.fits(layers[pair[1].layer], pair[1].side, narrower * pair[1].repeats)),
        ))  # fmt: skip
        place = f"{'outputs' if member.side == 'out' else 'inputs'} of layer {member.layer}, in units of {unit}"
        if least > offered[0]:
            reasons[group.id] = f"limited to {least} channels at least, by --floor or a range of widths"
        if len(chosen.widths[group.id]) == 1:
            reasons[group.id] = f"its {least} channels are {place}"
            by_unit.append(f"{group.id}: {reasons[group.id]}")
        if unit > 1 and least == offered[0] and least % unit == 0:
            reason = f"{least} of {group.width} channels at least, as {place}"
            reasons.setdefault(group.id, reason)
            computed = sum(work[name] for name in dict.fromkeys(m.layer for m in group.members))
            binding.append((-computed, f"{group.id}: {reason}"))
    limited = any(len(chosen.widths[id]) < len(widths) for id, widths in levels.widths.items())
    return Held(
        by_unit=tuple(by_unit), by_choice=tuple(by_choice), binding=tuple(reason for _, reason in sorted(binding)),
        least=reasons, limited=limited, aligned=aligned, finer=finer and aligned and not levels.priced, shallower=shallower,
    )  # fmt: skip


def _least_macs(graph: Graph, levels: Levels) -> dict[str, float]:
    """What each layer computes once every group is as narrow as it may be."""
    left: dict[tuple[str, str], float] = {}
    for group in graph.groups:
        for member in group.members:
            place = member.layer, member.side
            less = member.repeats * (group.width - int(levels.widths[group.id][0]))
            left[place] = left.get(place, 0.0) + less
    work = {}
    for layer in graph.layers:
        shares = [
            1 - left.get((layer.name, side), 0.0) / size for side, size in (("in", layer.c_in), ("out", layer.c_out))
        ]
        work[layer.name] = layer.macs * (shares[1] if layer.kind == "depthwise" else shares[0] * shares[1])
    return work
