"""A network on a target as data: what `padless inspect --json` writes."""

from dataclasses import asdict

from padless.cost import NetworkCost
from padless.report.tables import padded_channels


def inspection(cost: NetworkCost) -> dict[str, object]:
    """`layers[]`, `totals{}` and `reach{}` of a network on a target."""
    rows = []
    for row in cost.layers:
        layer, padded = row.layer, padded_channels(row)
        rows.append(
            {
                "name": layer.name,
                "kind": layer.kind,
                "c_in": layer.c_in,
                "c_out": layer.c_out,
                "groups": layer.groups,
                "kernel": list(layer.kernel),
                "out_hw": list(layer.out_hw),
                "input_unit": row.units.input,
                "output_unit": row.units.output,
                "padded_c_in": padded[0],
                "padded_c_out": padded[1],
                "macs": row.cost.macs,
                "padded_macs": row.cost.padded_macs,
                "wasted_macs_percent": round(row.cost.wasted_macs_percent, 4),
                "avoidable_macs_percent": round(row.cost.avoidable_macs_percent, 4),
                "sides_no_cut_can_align": sorted(row.fixed),
                "output_channels_stay": row.pinned,
                "cycles": row.cycles if cost.unit == "cycles" else None,
                "npu_cycles": row.npu_cycles if cost.unit == "cycles" else None,
                "nanoseconds": row.cycles if cost.unit == "ns" else None,
                "problems": list(row.problems),
            }
        )
    return {"layers": rows, "totals": cost.totals(), "reach": _reach(cost)}


def _reach(cost: NetworkCost) -> dict[str, object]:
    """What can be cut, each group that stays with its reason and its layers, and layers that have no group at all."""
    return {
        "channels_percent": round(cost.reach.channels_percent, 2),
        "macs_percent": round(cost.reach.macs_percent, 2),
        "pinned": [
            {
                "group": group.id,
                "width": group.width,
                "reason": group.pinned,
                "layers": list(dict.fromkeys(m.layer for m in group.members)),
            }
            for group in cost.reach.pinned
        ],
        "fixed": [asdict(layer) for layer in cost.reach.fixed],
    }
