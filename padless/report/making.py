"""A run's report, drawn up while the run still has its oracle, its tables and its importance."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Literal

from padless.align import Levels
from padless.choose import Choices, Plan
from padless.choose.around import Around, around
from padless.choose.offering import levels_of
from padless.choose.restrict import held
from padless.cost import NetworkCost
from padless.cost.memory import value_bytes
from padless.cost.network import LayerCost
from padless.cost.pricing import Pricing
from padless.cost.roofline import RooflinePoint, bandwidths, roofline
from padless.graph import ChannelGroup, Graph
from padless.graph.liveness import Moment, moments
from padless.graph.structure import Side as Axis
from padless.hardware import Target
from padless.importance import Importance
from padless.report.limits import limits_of
from padless.report.report import (
    Curves,
    FamilyPoint,
    GroupReport,
    LayerReport,
    Limit,
    MomentReport,
    Report,
    Side,
    Stage,
    StageScore,
    Tensor,
)

LISTED = 8  # maps of a moment, the largest first
Z = 1.959964  # two-sided 95 % of the normal distribution
Measured = Literal["accuracy", "agreement"]
STAGES: tuple[tuple[str, Stage, str], ...] = (  # whose measures, the stage, the ending of their name
    ("before", "dense", ""),
    ("after", "cut", "_before_recovery"),
    ("after", "recovered", "_after_recovery"),
    ("after", "final", ""),
    ("before", "dense, INT8", "_int8"),
    ("after", "final, INT8", "_int8"),
)


def draw_up(
    pricing: Pricing,
    plan: Plan,
    choices: Choices,
    curves: Importance | None,
    costs: tuple[NetworkCost, NetworkCost],
    pruned: Graph,
    *,
    told: Iterable[Limit] = (),
) -> Report:
    """The report of a plan on the model of `pricing`, before anything is known of accuracies.

    `costs` are of the dense and of the pruned network, `pruned` is the latter's graph, `curves` the importance that the plan
    was made with, where it is known. `told` are limits that were given.
    """
    dense, final = costs
    near = around(pricing, plan, choices, curves, dense)
    target = pricing.target
    return Report(
        version=version("padless"),
        unit=dense.unit,
        memory_waits=bool(dense.cycles and dense.cycles.source.memory_mode),
        between=_between(final),
        peak_macs_per_cycle=target.active.macs_per_cycle,
        bandwidths=bandwidths(target),
        flash_bytes=(_flash(dense), _flash(final)),
        layers=_layers_of(dense, final),
        groups=_groups(pricing, plan, choices, near),
        curves=_curves(pricing.graph, near),
        memory=memory_of(pricing.graph, pruned, target),
        limits=limits_of(target, (outcome.budget for outcome in plan.outcomes), told),
        test_images=None,
        measured="accuracy",
        stages=(),
    )


def priced_again(report: Report, dense: NetworkCost, pruned: NetworkCost) -> Report:
    """The report of the same widths with other weights."""
    return replace(
        report,
        layers=_layers_of(dense, pruned),
        between=_between(pruned),
        flash_bytes=(_flash(dense), _flash(pruned)),
    )


def _layers_of(dense: NetworkCost, pruned: NetworkCost) -> tuple[LayerReport, ...]:
    """Both networks' layers, side by side."""
    sides = [
        {row.layer.name: _side(row, points.get(row.layer.name)) for row in cost.layers}
        for cost in (dense, pruned)
        for points in [{point.name: point for point in roofline(cost, cost.target)}]
    ]
    return tuple(
        LayerReport(
            name=row.layer.name,
            kind=row.layer.kind,
            kernel=tuple(row.layer.kernel),
            units=(row.units.input, row.units.output),
            dense=sides[0][row.layer.name],
            pruned=sides[1][row.layer.name],
            problems=row.problems,
            treatment=row.treatment,
        )
        for row in pruned.layers
    )


def _side(row: LayerCost, point: RooflinePoint | None) -> Side:
    layer, cost = row.layer, row.cost
    return Side(
        c_in=layer.c_in,
        c_out=layer.c_out,
        macs=cost.macs,
        padded_macs=cost.padded_macs,
        floor_macs=cost.floor_macs,
        weight_bytes=row.weight_bytes,
        activation_bytes=cost.activation_bytes,
        time=row.cycles,
        npu_time=row.npu_cycles,
        bound=point.bound if point else "unknown",
        utilisation_percent=round(point.utilisation_percent, 4) if point else None,
    )


def _flash(cost: NetworkCost) -> int | None:
    return cost.cycles.flash_bytes if cost.cycles else None


def _between(cost: NetworkCost) -> int:
    """What operators between the layers take, where the whole network was priced."""
    if cost.cycles is None or not cost.cycles.whole:
        return 0
    return cost.cycles.total - sum(row.cycles or 0 for row in cost.layers)


def _groups(pricing: Pricing, plan: Plan, choices: Choices, near: Around | None) -> tuple[GroupReport, ...]:
    graph, chosen = pricing.graph, replace(choices, align=plan.align)
    of_target = levels_of(graph, pricing.target, chosen)
    offered = near.levels if near else of_target
    reasons = held(graph, pricing.target, of_target, offered, aligned=plan.align != "none").least
    return tuple(_group(group, plan, offered, reasons.get(group.id, ""), near) for group in graph.groups)


def _group(group: ChannelGroup, plan: Plan, offered: Levels, reason: str, near: Around | None) -> GroupReport:
    steps = near.steps.get(group.id) if near else None
    return GroupReport(
        id=group.id,
        width=group.width,
        kept=len(plan.keep[group.id]),
        zeros=plan.zeros.get(group.id, 0),
        writers=_layers(group, "out"),
        readers=_layers(group, "in"),
        levels=steps.widths if steps else tuple(offered.widths[group.id].tolist()),
        costs=steps.costs if steps else (),
        worths=steps.worths if steps else (),
        shares=steps.kept if steps else (),
        pinned=group.pinned,
        least=reason,
    )


def _layers(group: ChannelGroup, side: Axis) -> tuple[str, ...]:
    return tuple(dict.fromkeys(member.layer for member in group.members if member.side == side))


def _curves(graph: Graph, near: Around | None) -> Curves | None:
    if near is None:
        return None
    family = tuple(
        FamilyPoint(
            share=point.cost / near.dense if near.dense else 1.0,
            kept=point.kept,
            widths=tuple(point.widths[group.id] for group in graph.groups),
        )
        for point in near.family
    )
    return Curves(
        quantity=near.quantity,  # type: ignore[arg-type]
        spent=near.spent,
        dense=near.dense,
        price=near.price,
        kept=near.kept,
        family=family,
    )


def memory_of(dense: Graph, pruned: Graph, target: Target) -> tuple[MomentReport, ...]:
    """What lives while each operation of the pruned network runs, and what does in the dense one."""
    makers = {value: op.module or op.name for op in pruned.recording.ops for value in op.outputs}
    before = moments(dense)

    def size(graph: Graph, moment: Moment) -> int:
        return sum(int(value_bytes(graph, value, target)) for value in moment.values)

    rows = []
    for place, moment in enumerate(moments(pruned)):
        tensors = [
            Tensor(maker=makers.get(value, "input"), bytes=int(value_bytes(pruned, value, target)))
            for value in moment.values
        ]
        rows.append(
            MomentReport(
                where=moment.where,
                bytes=size(pruned, moment),
                dense_bytes=size(dense, before[place]) if place < len(before) else 0,
                tensors=tuple(sorted(tensors, key=lambda tensor: -tensor.bytes)[:LISTED]),
            )
        )
    return tuple(rows)


def with_tests(
    report: Report,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    measured: Measured,
    images: int | None,
    *,
    counted: bool,
) -> Report:
    """The report with the stages that a summary's measures `before` and `after` have in percent, in the order of a run.

    `counted` says that the percentages are of whole images, so that they have an interval.
    """
    stages = []
    for measures, stage, ending in STAGES:
        percent = (before if measures == "before" else after).get(f"{measured}{ending}")
        if percent is not None:
            low, high = wilson(percent, images) if counted and images else (None, None)
            stages.append(StageScore(stage=stage, percent=percent, low=low, high=high))
    return replace(report, measured=measured, test_images=images, stages=tuple(stages))


def wilson(percent: float, images: int) -> tuple[float, float]:
    """The 95 % interval of a share of `images`, both in percent (Wilson, Journal of the ASA 22, 1927)."""
    share, z2 = min(1.0, max(0.0, percent / 100)), Z * Z
    middle = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = Z / (1 + z2 / images) * math.sqrt(share * (1 - share) / images + z2 / (4 * images * images))
    return round(100 * max(0.0, middle - half), 4), round(100 * min(1.0, middle + half), 4)
