"""What calibration images show of a network: inputs of its layers, gradients of their outputs and of its weights."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from padless.batches import arguments, count_of, mapped, parts_of, tensors_in
from padless.calls import LayerCalls, channel_rows, class_scores, evaluating, like_model, run
from padless.errors import UsageError
from padless.graph import Graph, Layer
from padless.graph.structure import folded_inputs
from padless.moments.gram import gram
from padless.progress import bar

BATCH = 32  # images at a time
RIDGE = 1e-3  # of the mean variance
WIDEST = 4096  # inputs of a layer whose covariance is kept


@dataclass(slots=True, kw_only=True, eq=False)
class Seen:
    """Sums over the calls of one layer's weight, all float64; counts of rows (an image's position) and of images.

    Rows and images are always counted. Of the others, without gradients only the last two are summed.
    """

    layer: Layer
    folded: int  # inputs of a linear layer that are one channel: it came from a flattened map
    rows: int = 0
    outputs: int = 0  # rows of the output
    images: int = 0
    total: Any = 0.0  # [C] of the inputs
    squares: Any = 0.0  # [C, C] of the inputs
    output_squares: Any = 0.0  # [O]
    gradient_squares: Any = 0.0  # [O] of the loss by the output, summed over positions
    magnitudes: Any = 0.0  # [C] of the inputs' absolute values
    positive: Any = 0.0  # [C] how often the inputs are above zero

    def covariance(self) -> Tensor:
        """[C, C] of the inputs, with a ridge that makes it invertible."""
        mean = self.total / self.rows
        covariance: Tensor = self.squares / self.rows - mean[:, None] * mean[None]
        ridge = RIDGE * float(covariance.diagonal().mean()) + 1e-12
        return covariance + ridge * torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)


def observe(graph: Graph, model: nn.Module, images: Iterable[Any], *, gradients: bool = True) -> dict[str, Seen]:
    """Run the images [N, ...] through the model, in evaluation mode; what was seen of each layer, by its weight's name.

    The gradients are those of the loss (`loss_of`). Depthwise layers, and linear ones of more inputs than are kept, are
    not seen. Raises UsageError when there are no images.
    """
    seen = {}
    for layer in graph.layers:
        folded = folded_inputs(layer)
        if layer.kind != "depthwise" and layer.c_in // folded <= WIDEST and layer.weight not in seen:
            seen[layer.weight] = Seen(layer=layer, folded=folded)

    def watch(name: str, func: Any, given: Mapping[str, Any], call: Callable[..., Tensor]) -> Tensor:
        y = call()
        if name in seen:
            rows = channel_rows(given["input"].detach(), func is F.linear, seen[name].folded)
            seen[name].rows += len(rows)
            if gradients:
                _see(seen[name], rows, y, func is F.linear)
            else:
                seen[name].magnitudes += rows.abs().sum(0).double()
                seen[name].positive += (rows > 0).float().sum(0).double()
        return y

    generator, count = torch.Generator().manual_seed(0), 0
    with evaluating(model), bar("Watching calibration images", None) as shown:
        for batch in images:
            for part in parts_of(batch, BATCH):
                x, leaves = differentiable(part, model, gradients)
                with torch.set_grad_enabled(gradients), LayerCalls(model, watch):
                    loss = loss_of(model(*x), generator) if gradients else model(*x)
                    if gradients:
                        torch.autograd.grad(loss, leaves, allow_unused=True)
                count += count_of(part)
                shown.advance(count_of(part))
    if not count:
        raise UsageError("No calibration images: this importance watches the network at work. Give --data.")
    for layer_seen in seen.values():
        layer_seen.images = count
    return {name: layer_seen for name, layer_seen in seen.items() if layer_seen.rows}


def differentiable(part: Any, model: nn.Module, gradients: bool) -> tuple[tuple[Any, ...], list[Tensor]]:
    """The forward's arguments, and the tensors that gradients are asked of: inputs, or parameters where none is real."""
    x = mapped(like_model(part, model), lambda t: t.detach().requires_grad_(gradients) if t.is_floating_point() else t)
    leaves = [t for t in tensors_in(x) if t.requires_grad]
    return arguments(x), leaves or [p for p in model.parameters() if p.requires_grad]


def loss_of(outputs: Any, generator: torch.Generator) -> Tensor:
    """A loss that needs no labels, summed over images: what the network itself says is taken for true.

    For class scores or probabilities [N, K] the cross-entropy with classes drawn from the network's own distribution,
    whose squared gradients are the Fisher information (Kunstner et al., NeurIPS 2019). For anything else a random
    projection of all outputs, whose squared gradients are those of their squared error.
    """
    if isinstance(outputs, Tensor) and outputs.ndim == 2 and outputs.shape[1] > 1:
        scores = class_scores(outputs)
        drawn = torch.multinomial(scores.detach().softmax(1).cpu(), 1, generator=generator)[:, 0]
        return F.cross_entropy(scores, drawn.to(outputs.device), reduction="sum")
    terms = []
    for output in _tensors(outputs):
        signs = torch.randint(0, 2, output.shape, generator=generator).to(output) * 2 - 1
        terms.append((output * signs).sum() / output[0].numel() ** 0.5)
    return torch.stack(terms).sum()


def weight_gradients(model: nn.Module, images: Iterable[Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """For each parameter the mean over images of the loss' gradient, and the mean of the gradient's square.

    The square is taken of each small batch's gradient, which for drawn labels has the mean of the single images' squares.
    """
    parameters = {name: p for name, p in model.named_parameters() if p.is_floating_point()}
    needed = {name: p.requires_grad for name, p in parameters.items()}
    first = {name: torch.zeros_like(p) for name, p in parameters.items()}
    second = {name: torch.zeros_like(p) for name, p in parameters.items()}
    generator, count = torch.Generator().manual_seed(0), 0
    try:
        for p in parameters.values():
            p.requires_grad_(True)
        with evaluating(model), bar("Watching gradients", None) as shown:
            for batch in images:
                for part in parts_of(batch, BATCH):
                    loss = loss_of(run(model, part), generator)
                    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
                    for name, g in zip(parameters, gradients, strict=True):
                        if g is not None:
                            first[name] += g
                            second[name] += g.square()
                    count += count_of(part)
                    shown.advance(count_of(part))
    finally:
        for name, p in parameters.items():
            p.requires_grad_(needed[name])
    if not count:
        raise UsageError("No calibration images: this importance needs gradients. Give --data.")
    return {n: g / count for n, g in first.items()}, {n: g / count for n, g in second.items()}


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs] if outputs.is_floating_point() and outputs.requires_grad else []
    items = outputs.values() if isinstance(outputs, Mapping) else outputs if isinstance(outputs, Sequence) else ()
    return [tensor for item in items for tensor in _tensors(item)]


def _see(layer_seen: Seen, rows: Tensor, y: Tensor, linear: bool) -> None:
    layer_seen.total += rows.sum(0).double()  # ten times as fast as summing in float64
    layer_seen.squares += gram(rows).double()
    layer_seen.outputs += y[..., 0].numel() if linear else y[:, 0].numel()
    layer_seen.output_squares += _square_sums(y.detach(), linear)
    if y.requires_grad:

        def add_squares(gradient: Tensor) -> None:
            layer_seen.gradient_squares += _square_sums(gradient, linear)

        y.register_hook(add_squares)


def _square_sums(outputs: Tensor, linear: bool) -> Tensor:
    """[O] where they lie: three times as fast as on rows of channels."""
    others = [axis for axis in range(outputs.ndim) if axis != (outputs.ndim - 1 if linear else 1)]
    if not others:  # a single row
        return outputs.double().square()
    sums: Tensor = torch.linalg.vector_norm(outputs, dim=others).double().square()
    return sums
