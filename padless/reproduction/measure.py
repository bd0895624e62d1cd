"""One cell: cut, repaired, trained on, and tested at each of these stages."""

import copy
import time
from collections import Counter
from pathlib import Path

import torch
from torch import nn

from padless.choose import Plan
from padless.cost import LayerCost
from padless.inputs import weights_digest
from padless.recover import recover
from padless.reproduction.protocol import AWARE, FULL, GENERAL, Cell, Protocol, Row
from padless.reproduction.subject import Small, Subject
from padless.train import Checkpoints, Recipe, evaluate, finetune, make_fabric
from padless.train.fabric import precision_of

MEASURES = ("wasted_macs_percent", "wasted_weight_percent", "wasted_activation_percent", "avoidable_macs_percent")
LAYER = ("c_in", "c_out", "macs", "padded_macs", "bytes", "padded_bytes")  # in a row's `layers`, in this order


def measured(subject: Subject, cell: Cell, protocol: Protocol, scratch: Path) -> Row:
    """What a row says beside its cell. Accuracies in percent, `accuracy` that after the last epoch; none where the
    method reaches no such size. Raises PeerError where another tool fails."""
    started, small = time.monotonic(), None
    if cell.part == "dense":
        model = copy.deepcopy(subject.model)
        row: Row = {"accuracy_before": evaluate(model, subject.images)}
    else:
        small = subject.cut(cell)
        if small is None:
            return {"accuracy": None}
        row, model = repaired(subject, cell, small), subject.to_train(small)
    recipe = Recipe(epochs=protocol.epochs, seed=cell.seed, channels_last=True)
    # Named by where it starts: a repair that rounds otherwise on another machine starts anew.
    checkpoints = Checkpoints(scratch / f"{cell.network}-{weights_digest(model)}-{recipe.seed}")
    teacher, fabric = copy.deepcopy(subject.model), make_fabric()
    history = finetune(model, subject.images, recipe, teacher=teacher, checkpoints=checkpoints, fabric=fabric)
    if small and weights_treated(small):
        small = subject.treated(small, model, cell)
        if small is None:
            return row | {"accuracy": None}
        model, row = small.model, row | treatment_of(subject, small)
    row |= {
        "accuracy": evaluate(model, subject.images), "loss": round(history.losses[-1], 4),
        "on": f"{fabric.device.type}, {torch.get_num_threads()} thread(s), {precision_of()}",
        "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip
    return row


def weights_treated(small: Small) -> bool:
    """Whether weights are brought to few values once they are trained."""
    return bool(small.levels or small.plan.treatments)


def treatment_of(subject: Subject, small: Small) -> Row:
    """What was done to the weights of a treated network, and what it costs."""
    kinds = Counter(small.plan.treatments.values())
    done: Row = {"treatments": dict(sorted(kinds.items()))} if kinds else {"levels": small.levels}
    return _cycles(subject, small.model) | done


def repaired(subject: Subject, cell: Cell, small: Small) -> Row:
    """What a cut network costs, and its accuracy before and after repair, which is done in place.

    Treatments of a plan are still to come: until they are carried out the network costs more.
    """
    row = _waste(subject, small.plan, cell) if cell.part == "equal ratio" else _cycles(subject, small.model)
    row["accuracy_cut"] = evaluate(small.model, subject.images)
    if not small.levels:  # else they are compensated
        recover(small.model, subject.model, small.plan, subject.calibration(cell.seed), method="mix")
    row["accuracy_recovered"] = evaluate(small.model, subject.images)
    return row


def _waste(subject: Subject, plan: Plan, cell: Cell) -> Row:
    """The MACs left; for NPU-aware pruning the paper's two measures in its unit, beside those of general pruning."""
    unit = max(cell.unit, FULL.units[0])  # MACs are the same in every one
    own = subject.in_units(plan, unit)
    row: Row = {"macs_percent": _share(own.cost.macs, subject.dense.cost.macs)}
    if cell.unit > 1:
        both = {GENERAL: subject.in_units(subject.by_ratio(cell.size, 1), unit), AWARE: own}
        row["waste"] = {method: {key: cost.totals()[key] for key in MEASURES} for method, cost in both.items()}  # type: ignore[literal-required]
        row["layers"] = {
            method: {priced.layer.name: _layer(priced) for priced in cost.layers} for method, cost in both.items()
        }
    return row


def _layer(priced: LayerCost) -> list[int]:
    cost = priced.cost
    return [
        priced.layer.c_in, priced.layer.c_out, cost.macs, cost.padded_macs, cost.weight_bytes + cost.activation_bytes,
        cost.padded_weight_bytes + cost.padded_activation_bytes,
    ]  # fmt: skip


def _cycles(subject: Subject, model: nn.Module) -> Row:
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
