"""How much a channel matters, by any criterion, as a curve per group."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from padless.calls import check_finite, current_folder, imported
from padless.errors import UsageError, suggest
from padless.graph import Graph
from padless.graph.shadow import single
from padless.importance import activity, weights
from padless.importance.curves import Curve, Importance, Scores, ranked
from padless.importance.reconstruction import reconstruction

__all__ = ["CRITERIA", "WATCHING", "Criterion", "Curve", "Importance", "Scores", "importance"]

# Your own: one score a channel, [channels of the graph], larger is more important. It may ignore the images.
Criterion = Callable[[Graph, nn.Module, Sequence[Any]], Scores]

_WEIGHTS: dict[str, Callable[[Graph, nn.Module], Scores]] = {
    "l1": weights.l1, "l2": weights.l2, "bn": weights.batch_norm, "fpgm": weights.fpgm, "lamp": weights.lamp,
}  # fmt: skip
_IMAGES: dict[str, Callable[[Graph, nn.Module, Iterable[Any]], Scores]] = {
    "taylor": activity.taylor, "fisher": activity.fisher, "activation": activity.activation, "apoz": activity.apoz,
}  # fmt: skip
_SUMMED = frozenset(["l1", "l2", "lamp"])  # read every weight that has channels, and see whether it is finite
_COMPARABLE = frozenset(["lamp", "taylor", "fisher"])
CRITERIA = (*_WEIGHTS, "random", *_IMAGES, "reconstruction")
WATCHING = frozenset([*_IMAGES, "reconstruction"])  # need calibration images


def importance(
    graph: Graph,
    model: nn.Module,
    criterion: str | Criterion = "l1",
    images: Sequence[Any] = (),
    *,
    seed: int = 0,
) -> Importance:
    """A curve for each group by one of `CRITERIA`, by a function, or by one named `package.module:function`.

    `images` are batches [N, ...] as the network takes them: shuffled, from the training data; no labels. `seed` is for
    random. Raises UsageError for an unknown criterion, missing images, weights that are not finite, or scores that are
    not one number a channel.
    """
    if not callable(criterion) and criterion not in CRITERIA and ":" not in criterion:
        raise UsageError(f"Unknown importance {criterion!r}. {suggest(criterion, CRITERIA)}")
    if criterion in WATCHING and not images:
        raise UsageError(f"The importance {criterion} watches calibration images. Give --data (or images=).")
    read = (
        {axis.parameter for axis in graph.axes} & dict(model.named_parameters()).keys() if criterion in _SUMMED else ()
    )
    check_finite(model, besides=read)  # large weights are read once
    name = criterion if isinstance(criterion, str) else getattr(criterion, "__name__", "a function")
    if not callable(criterion) and criterion in CRITERIA:
        model = single(model)
    if criterion == "reconstruction":
        return replace(reconstruction(graph, model, images), name=name)
    if callable(criterion):
        scores = _own(graph, model, criterion, images)
    elif criterion in _WEIGHTS:
        scores = _WEIGHTS[criterion](graph, model)
    elif criterion in _IMAGES:
        scores = _IMAGES[criterion](graph, model, images)
    elif criterion == "random":
        scores = np.random.default_rng(seed).random(graph.channels)
    else:
        scores = _own(graph, model, _named(criterion), images)
    return replace(ranked(graph, scores, comparable=criterion in _COMPARABLE), name=name)


def _own(graph: Graph, model: nn.Module, criterion: Criterion, images: Sequence[Any]) -> Scores:
    with current_folder():  # it may import more
        scores = np.asarray(criterion(graph, model, images), dtype=np.float64)
    sound = bool(np.isfinite(scores).all() and (scores >= 0).all())
    if scores.shape != (graph.channels,) or not sound:
        raise UsageError(
            f"Your importance gave scores of shape {list(scores.shape)}{'' if sound else ', some negative or not finite'}; "
            f"expected {graph.channels} finite scores of at least 0, one a channel."
        )
    return scores


def _named(name: str) -> Criterion:
    try:
        criterion: Criterion = imported(name)
    except Exception as error:  # the user's module may fail in any way
        raise UsageError(f"No importance {name!r}: {error}. Write package.module:function.") from error
    return criterion
