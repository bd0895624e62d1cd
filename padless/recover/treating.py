"""A network's layers treated from the first to the last, each towards the dense network's outputs."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from padless.batches import arguments, count_of, images_of
from padless.calls import evaluating, like_model
from padless.choose import Plan
from padless.choose.replay import retrace
from padless.errors import UsageError, expect
from padless.graph import Graph, Keep, narrowed, trace
from padless.graph.shadow import original_of, rebuilt, single
from padless.graph.structure import folded_inputs
from padless.moments.columns import gathered
from padless.moments.sums import check_finite
from padless.recover.in_order import Fit, Step, in_order, places_of
from padless.recover.judge import HALVES, apart, disagreement, fitting, outputs_of, read, restore, tensors
from padless.recover.recovery import cut_tensors
from padless.recover.solve import ridged
from padless.treat.compensate import compensated, inverse_factor
from padless.treat.layers import by_layer, neighbours
from padless.treat.treatment import Treatment


@dataclass(frozen=True, slots=True, kw_only=True)
class Treated:
    """What was done, by layer. `held_out` is `Recovery.held_out`'s disagreement, before and after.

    That is with the network to whose outputs the layers were brought.
    """

    layers: Mapping[str, str]
    images: int
    seconds: float = field(compare=False)
    held_out: tuple[float, float]


@torch.inference_mode(False)
@torch.no_grad()
def treat(
    small: nn.Module,
    images: Iterable[Any],
    treatments: str | Mapping[str, str],
    *,
    model: nn.Module | None = None,
    plan: Plan | None = None,
) -> Treated:
    """Bring the weights of a network to a grid or a pattern, in place.

    `treatments` are one of `grid:17` (17 levels a filter), `2:4` (two of four neighbouring input channels are zero) and
    `2:4+grid:17`, or a dictionary of them by layer, such as a plan's. One for all leaves out the first and the last layer,
    layers of several groups, for which little is stored, those that share or compute their weights, and those that it does
    not fit.
    `images` are those of `recover`.

    Each layer is solved on the inputs that it has now. Where `small` is `model` cut by `plan`, perhaps recovered and not
    trained since, that is towards the outputs of `model`, as recovery does; without `model` towards what `small` itself
    gives (a plan then only says how many inputs it has, else one). Then its columns are treated one after the other, and
    those that are left make up for it (GPTQ, Frantar et al., ICLR 2023; SparseGPT, Frantar and Alistarh, ICML 2023). The
    mean that is lost all the same goes into the bias or the batch norm behind. Nothing keeps the weights so afterwards:
    train first, treat last.

    Raises UsageError for an unknown treatment or layer, where a layer cannot have its own or one for all fits none, for a
    model without its plan, and when there are no images; PadlessError where values are not finite. Then, and whenever it is
    stopped, `small` is as it was.
    """
    if plan is not None:
        expect(plan, Plan, "plan", "Read it with padless.Plan.read(path).")
    elif model is not None:
        raise UsageError("A model is what the network was cut from. Give the plan, too, or leave the model out.")
    batches, small = read(images, plan.takes if plan else 1), original_of(small)
    if model is not None and plan is not None:
        graph = retrace(model, plan)
        dense, keep = original_of(model), plan.mask(graph)
    else:
        graph = trace(small, *arguments(images_of(batches[0], 0, 1)))
        dense, keep = rebuilt(small, lambda _, tensor: tensor.clone()), np.ones(graph.channels, dtype=np.int64)
    chosen = by_layer(treatments, narrowed(graph, keep))
    named = frozenset(chosen) if isinstance(treatments, Mapping) else None
    if any(p.dtype in HALVES for p in small.parameters()):  # sums and solutions need more digits
        wide = single(small)
        done = _treated(wide, single(dense), graph, keep, fitting(batches, graph), chosen, named)
        restore(small, tensors(wide))
        return done
    return _treated(small, dense, graph, keep, fitting(batches, graph), chosen, named)


def _treated(
    small: nn.Module,
    model: nn.Module,
    graph: Graph,
    keep: Keep,
    images: Any,
    chosen: Mapping[str, Treatment],
    named: frozenset[str] | None,
) -> Treated:
    cut_tensors(small, model, graph, keep)  # it is that cut
    x, started, before = like_model(images, small), time.monotonic(), tensors(small)
    solved_on, held = apart(x)

    with evaluating(small), evaluating(model):
        places = places_of(small, graph, keep, solved_on)
        treatments = {
            weight: chosen[place.layer.name]
            for weight, place in places.items()
            if place.unfolds and place.layer.name in chosen
        }
        done = {places[weight].layer.name: str(treatment) for weight, treatment in treatments.items()}
        if left := sorted((named or frozenset()) - done.keys()):
            raise UsageError(
                f"{left[0]} cannot be treated: its weights are computed or shared, it is called several times, or it "
                "pads by name. Leave it out."
            )
        if not done and named is None:
            raise UsageError("No layer would be treated: the first and the last one stay, and it fits no other.")
        expected = outputs_of(model, held)
        untreated = disagreement(expected, outputs_of(small, held))
        try:
            in_order(
                small, model, places, solved_on, "Treating weights",
                lambda step: treated_layer(step, treatments[step.weight]) if step.weight in treatments else None,
            )  # fmt: skip
            treated = disagreement(expected, outputs_of(small, held))
        except BaseException:
            restore(small, before)
            raise
    return Treated(layers=done, images=count_of(x), seconds=time.monotonic() - started, held_out=(untreated, treated))


def treated_layer(step: Step, treatment: Treatment) -> Fit:
    """The layer's weights under a treatment, and what that moves its outputs by."""
    weight = step.arguments["weight"]
    fit, held = gathered(step.x, step.wanted, step.arguments, linear=step.linear)
    start = weight.double().flatten(1).T[None]
    found = ridged(fit, held, start, shifts=step.shifts)
    solved = found[0][0] if found else start[0]
    sums = fit + held if held is not fit else fit
    check_finite(sums.xx, sums.xy)
    squares = sums.xx[0] / sums.rows
    if step.shifts:
        squares = squares - torch.outer(sums.x[0], sums.x[0]) / sums.rows**2
    order = neighbours(weight, folded_inputs(step.place.layer))
    w, upper = torch.empty_like(solved), inverse_factor(squares[order][:, order])
    w[order] = compensated(solved[order].T, upper, [treatment], shared=step.linear)[0].T
    shift = sums.residual(w[None])[0].to(weight) if step.shifts else None
    return Fit(weight=w.T.reshape(weight.shape).to(weight), shift=shift)
