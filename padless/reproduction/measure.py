"""One cell: cut, repaired, trained on, and tested at each of these stages."""

import copy
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from padless.inputs import weights_digest
from padless.recover import recover, reestimate_batchnorm
from padless.reproduction.protocol import Cell, Protocol
from padless.reproduction.subject import Small, Subject
from padless.train import Checkpoints, Recipe, evaluate, finetune, make_fabric

MEASURES = ("wasted_macs_percent", "wasted_weight_percent", "wasted_activation_percent", "avoidable_macs_percent")
LAYER = ("c_in", "c_out", "macs", "padded_macs", "bytes", "padded_bytes")  # in a row's `layers`, in this order


def measured(subject: Subject, cell: Cell, protocol: Protocol, scratch: Path) -> dict[str, Any]:
    """What a row says beside its cell. Accuracies in percent, `accuracy` that after the last epoch; none where the
    method reaches no such size."""
    started = time.monotonic()
    if cell.part == "dense":
        model = copy.deepcopy(subject.model)
        row: dict[str, Any] = {"accuracy_before": evaluate(model, subject.images)}
        distilled = cell.method == "distilled"
    elif cell.part == "equal ratio":
        small = subject.by_ratio(cell.size, cell.unit)
        model, row, distilled = small.model, _waste(subject, small, protocol, cell), False
        row["accuracy_cut"] = evaluate(model, subject.images)
    else:
        made = subject.at_cycles(cell.method, cell.size, cell.seed)
        if made is None:
            return {"accuracy": None}
        model, row, distilled = made.model, _cycles(subject, made.model), True
        row["accuracy_cut"] = evaluate(model, subject.images)
        row["recovery"] = _recovered(subject, made, cell.seed)
        row["accuracy_recovered"] = evaluate(model, subject.images)
    recipe = Recipe(epochs=protocol.epochs, seed=cell.seed, channels_last=True)
    recipe = recipe if distilled else replace(recipe, distill=0.0)
    # Named by where it starts: a repair that rounds otherwise on another machine starts anew.
    checkpoints = Checkpoints(scratch / f"{cell.network}-{weights_digest(model)}-{recipe.seed}-{distilled:d}")
    teacher = copy.deepcopy(subject.model) if distilled else None
    history = finetune(model, subject.images, recipe, teacher=teacher, checkpoints=checkpoints, fabric=make_fabric())
    row |= {
        "accuracy": evaluate(model, subject.images), "loss": round(history.losses[-1], 4),
        "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip
    return row


def _recovered(subject: Subject, small: Small, seed: int) -> str:
    """The closed form, or batch norm alone where nobody knows which channels stayed."""
    if small.plan is None:
        reestimate_batchnorm(small.model, subject.calibration(seed))
        return "bn"
    return recover(small.model, subject.model, small.plan, subject.calibration(seed), method="mix").method


def _waste(subject: Subject, small: Small, protocol: Protocol, cell: Cell) -> dict[str, Any]:
    """The paper's two measures, in all and (for the first seed, since all have the same widths) layer by layer."""
    assert small.plan is not None
    units = protocol.units if cell.unit == 1 else (cell.unit,)
    costs = {unit: subject.in_units(small.plan, unit) for unit in units}
    row: dict[str, Any] = {
        "waste": {str(unit): {key: cost.totals()[key] for key in MEASURES} for unit, cost in costs.items()},  # type: ignore[literal-required]
        "macs_percent": _share(next(iter(costs.values())).cost.macs, subject.dense.cost.macs),
    }
    if cell.seed == protocol.seeds[0]:
        row["layers"] = {str(unit): {r.layer.name: _layer(r) for r in cost.layers} for unit, cost in costs.items()}
    return row


def _layer(row: Any) -> list[int]:
    cost = row.cost
    return [
        row.layer.c_in, row.layer.c_out, cost.macs, cost.padded_macs, cost.weight_bytes + cost.activation_bytes,
        cost.padded_weight_bytes + cost.padded_activation_bytes,
    ]  # fmt: skip


def _cycles(subject: Subject, model: nn.Module) -> dict[str, Any]:
    cost = subject.cost(model)
    totals = cost.totals()
    cycles, dense = totals["cycles"] or 0, subject.dense.totals()["cycles"] or 0
    return {
        "cycles_percent": _share(cycles, dense),
        "macs_percent": _share(cost.cost.macs, subject.dense.cost.macs),
        "wasted_macs_percent": totals["wasted_macs_percent"],
        "avoidable_macs_percent": totals["avoidable_macs_percent"],
        "oracle": totals["oracle"],
        "widths": {row.layer.name: [row.layer.c_in, row.layer.c_out] for row in cost.layers},
    }


def _share(part: float, whole: float) -> float:
    return round(100 * part / whole, 3) if whole else 0.0
