"""A plan replayed on a model: the smaller model, proven equal to the masked one."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from padless.batches import batches_of
from padless.choose.plan import Plan
from padless.cut.equivalence import awakened, equivalence_error
from padless.cut.slice import cut
from padless.cut.stale import warn_of_stale
from padless.errors import expect
from padless.graph import Graph, trace
from padless.graph.examples import Example
from padless.graph.shadow import original_of


def prune(model: nn.Module, plan: Plan, *, images: Iterable[Any] = ()) -> nn.Module:
    """The smaller model that `plan` describes: an ordinary module of the same classes; `model` itself is untouched.

    Every cut is checked: the result must equal the original with the removed channels' consumers zeroed, to 1e-10 in
    float64 (1e-4 in float32 where the forward insists on that), on random inputs. `images` are calibration batches
    [N, ...], as for `plan`: one is taken where random inputs are none that the network can live with. Layers that only
    training uses, such as GoogLeNet's extra heads, are not traced and stay as they are. Raises UsageError when the plan was
    made on another network, EquivalenceError when the check fails. Warns of stored counts that only a method reads which
    was not traced.
    """
    expect(plan, Plan, "plan", "Read it with padless.Plan.read(path).")
    return prune_with_error(model, plan, batches_of(images, plan.takes))[0]


def prune_with_error(model: nn.Module, plan: Plan, images: Sequence[Any] = ()) -> tuple[nn.Module, float]:
    """`prune`, and the largest relative difference that its check found."""
    graph = retrace(model, plan)
    keep = plan.mask(graph)
    model = original_of(model)
    small = cut(model, graph, keep)
    error = equivalence_error(model, small, graph, keep, seed=plan.seed, images=images)
    awake = awakened(model, plan.seed)
    if awake is not None:
        cut_awake = cut(awake, graph, keep)
        error = max(error, equivalence_error(awake, cut_awake, graph, keep, seed=plan.seed, images=images))
    warn_of_stale(model, graph, keep)
    return small, error


def retrace(model: nn.Module, plan: Plan) -> Graph:
    """The graph of `model` on inputs of the shapes and types that the plan was made with."""
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    return trace(model, *example_of(plan, dtype), outputs=plan.outputs)


def example_of(plan: Plan, dtype: torch.dtype = torch.float32) -> tuple[Any, ...]:
    """The forward's arguments that a plan was made with, on the meta device; of `dtype` where the plan says no types."""
    shapes = tuple(tuple(shape) for shape in plan.example_shapes)
    example = Example(
        shapes=shapes,
        types=tuple(plan.example_types) or (str(dtype).removeprefix("torch."),) * len(shapes),
        structure=plan.example_structure or json.dumps(list(range(len(shapes)))),
    )
    return example.empty()
