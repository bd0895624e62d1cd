"""What is left of a branch whose group has no channels: constants for the layers that read it, nothing before them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.fx
from torch import Tensor, nn
from torch.nn import functional as F

from padless.cut.branches import PRODUCTS, emptied, is_alone, mask_of, slots_of
from padless.graph import Graph, Keep
from padless.graph.liveness import needed
from padless.graph.record import record
from padless.graph.recording import Recording
from padless.graph.shadow import modules_of, tensor_names

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def filled(input: Tensor, values: Tensor, added: list[int], strides: list[int]) -> Tensor:
    """`values` [C] at each place of a layer's result, a tensor of its own: what follows may write into it.

    `added` is what a size of the input grows by before it is divided by the stride; both are empty for a linear layer.
    """
    axes = len(added)  # torch.jit knows nothing shorter than the sums of lists below
    if axes == 0:
        return values.expand(list(input.shape[:-1]) + [-1]).clone()  # noqa: RUF005
    first = input.dim() - axes
    places = [(input.shape[first + i] + added[i]) // strides[i] + 1 for i in range(axes)]
    return values.reshape([-1] + [1] * axes).expand(list(input.shape[: first - 1]) + [-1] + places).clone()  # noqa: RUF005


torch.fx.wrap("filled")  # which cannot follow sizes


class _Hollow(nn.Module):
    """What a convolution or linear layer becomes: it gives results of the layer's shape without computing any.

    The module itself becomes one, so that whoever holds it has it, with what it says of its sizes.
    """

    added: list[int]
    strides: list[int]


class Removed(_Hollow):
    """In the place of a layer of a branch that was removed: one channel of zeros, which nothing needs."""

    def forward(self, input: Tensor) -> Tensor:
        return filled(input, torch.zeros(1, dtype=input.dtype, device=input.device), self.added, self.strides)


class Constant(_Hollow):
    """In the place of a layer all of whose inputs were removed: `bias` [C] at each place, whatever the input is."""

    bias: Tensor

    def forward(self, input: Tensor) -> Tensor:
        return filled(input, self.bias, self.added, self.strides)


class Settled(nn.Module):
    """In the place of a batch norm whose inputs are constants: the statistics stay, in training, too.

    Those of a batch would be the constants themselves, and all that the norm gives its shift.
    """

    running_mean: Tensor
    running_var: Tensor
    weight: Tensor | None
    bias: Tensor | None
    eps: float

    def forward(self, input: Tensor) -> Tensor:
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


def _hollowed(layer: nn.Module, kind: type[_Hollow]) -> None:
    """Make a layer one that computes nothing."""
    weight, bias = layer._parameters.pop("weight"), layer._parameters.pop("bias", None)
    assert weight is not None  # as `branches` sees to
    added, strides = [], []
    if isinstance(layer, nn.modules.conv._ConvNd):
        for i, (kernel, dilation) in enumerate(zip(layer.kernel_size, layer.dilation, strict=True)):
            span = dilation * (kernel - 1)
            padding = (
                {"same": span, "valid": 0}[layer.padding] if isinstance(layer.padding, str) else 2 * layer.padding[i]
            )
            added.append(padding - span - 1)
        strides = list(layer.stride)
    layer.__class__ = kind
    assert isinstance(layer, _Hollow)
    layer.added, layer.strides = added, strides
    if isinstance(layer, Constant):
        zeros = nn.Parameter(weight.new_zeros(len(weight)), weight.requires_grad)
        layer.register_parameter("bias", zeros if bias is None else bias)


@dataclass(frozen=True, slots=True)
class Silent:
    """A layer, by its module's path, all of whose inputs go; `norm` is the batch norm that alone reads it."""

    path: str
    norm: str | None

    @property
    def last(self) -> str:
        """The module whose outputs became constant."""
        return self.norm or self.path


def silent_layers(graph: Graph, keep: Keep, model: nn.Module) -> tuple[Silent, ...]:
    """The layers of `model` that a cut turns into constants."""
    gone = mask_of(graph, emptied(graph, keep))
    if not gone.any():
        return ()
    norms = dict(_norms(graph, model))
    silent = [ly for ly in graph.layers if gone[ly.inputs].all() and not gone[ly.outputs].all()]
    return tuple(Silent(path, norms.get(path)) for path in (ly.weight.removesuffix(".weight") for ly in silent))


def _norms(graph: Graph, model: nn.Module) -> Iterator[tuple[str, str]]:
    """The module of each layer that a batch norm of torch's own follows and nothing else reads, and that norm's."""
    recording, modules = graph.recording, dict(modules_of(model))
    readers: dict[int, list[int]] = {}
    for i, op in enumerate(recording.ops):
        for value in set(op.reads):
            readers.setdefault(value, []).append(i)
    slots = slots_of(model)
    uses = [op.module for op in recording.ops if op.name == "aten.native_batch_norm"]
    for op in recording.ops:
        result = op.outputs[0] if op.outputs else -1
        if op.name in PRODUCTS and len(readers.get(result, ())) == 1 and result not in recording.outputs:
            norm = recording.ops[readers[result][0]]
            module = modules.get(norm.module)
            if module is None or type(module) not in NORMS or module.running_mean is None:
                continue
            if is_alone(module, slots) and uses.count(norm.module) == 1:
                yield op.module, norm.module


@torch.no_grad()
def hollow(small: nn.Module, graph: Graph, keep: Keep) -> None:
    """Take out of `small`, in place, what computes nothing any more. Its removed groups have one channel left.

    What no output depends on any more, as a norm before a branch, is not to be trained: trainers that share a network out
    wait for a gradient of each parameter. Raises TraceError where the network does not run so, as one that reads the
    weights of such a layer.
    """
    gone = mask_of(graph, emptied(graph, keep))
    modules, silent = dict(modules_of(small)), silent_layers(graph, keep, small)
    for layer in graph.layers:
        if gone[layer.outputs].all():
            _hollowed(modules[layer.weight.removesuffix(".weight")], Removed)
    for each in silent:
        _hollowed(modules[each.path], Constant)
        if each.norm:
            modules[each.norm].__class__ = Settled
    tensors = tensor_names(small)
    for name in _read(graph.recording) - _read(record(small, *graph.example.empty())):
        if name in tensors:
            tensors[name].requires_grad_(False)


def _read(recording: Recording) -> set[str]:
    """The parameters that a network's outputs depend on."""
    values = {value for i in needed(recording) for value in recording.ops[i].reads}
    return {recording.values[v].name for v in values if recording.values[v].origin == "parameter"}
