"""What is left of a branch whose group has no channels: constants for the layers that read it, nothing before them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from padless.cut.branches import PRODUCTS, emptied, mask_of
from padless.graph import Graph, Keep
from padless.graph.liveness import needed
from padless.graph.record import Recording, record
from padless.graph.shadow import modules_of, tensor_names


class _Hollow(nn.Module):
    """Stands where a convolution or linear layer stood, and gives results of its shape without computing any."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        names = ("kernel_size", "stride", "padding", "dilation")
        self.sizes = tuple(getattr(layer, name) for name in names) if hasattr(layer, "kernel_size") else None
        self.training = layer.training

    def filled(self, x: Tensor, values: Tensor) -> Tensor:
        """`values` [C] at each place of the result, a tensor of its own: what follows may write into it."""
        if self.sizes is None:
            return values.expand(*x.shape[:-1], len(values)).clone()
        places = list(x.shape[2:])
        if self.sizes[2] != "same":
            padding = (0,) * len(places) if self.sizes[2] == "valid" else self.sizes[2]
            kernels, strides, _, dilations = self.sizes
            places = [
                (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
                for size, kernel, stride, pad, dilation in zip(
                    places, kernels, strides, padding, dilations, strict=True
                )
            ]
        return values.reshape(1, -1, *(1 for _ in places)).expand(x.shape[0], -1, *places).clone()


class Removed(_Hollow):
    """In the place of a layer of a branch that was removed: one channel of zeros, which nothing needs."""

    def forward(self, x: Tensor) -> Tensor:
        return self.filled(x, torch.zeros(1, dtype=x.dtype, device=x.device))


class Constant(_Hollow):
    """In the place of a layer all of whose inputs were removed: `bias` [C] at each place, whatever the input is."""

    bias: Tensor

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer)
        weight, bias = layer.weight, getattr(layer, "bias", None)
        assert isinstance(weight, nn.Parameter)  # as `branches` sees to
        if bias is None:
            bias = nn.Parameter(weight.new_zeros(len(weight)), weight.requires_grad)
        assert isinstance(bias, Tensor)
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        return self.filled(x, self.bias)


class Settled(nn.Module):
    """In the place of a batch norm whose inputs are constants: the statistics stay, in training, too.

    Those of a batch would be the constants themselves, and all that the norm gives its shift.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.eps, self.training = norm.eps, norm.training
        self.weight: Tensor | None = norm.weight
        self.bias: Tensor | None = norm.bias
        self.register_buffer("running_mean", norm.running_mean)
        self.register_buffer("running_var", norm.running_var)

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


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
    uses = [op.module for op in recording.ops if op.name == "aten.native_batch_norm"]
    for op in recording.ops:
        result = op.outputs[0] if op.outputs else -1
        if op.name in PRODUCTS and len(readers.get(result, ())) == 1 and result not in recording.outputs:
            norm = recording.ops[readers[result][0]]
            module = modules.get(norm.module)
            if isinstance(module, _BatchNorm) and module.running_mean is not None and uses.count(norm.module) == 1:
                yield op.module, norm.module


@torch.no_grad()
def hollow(small: nn.Module, graph: Graph, keep: Keep) -> None:
    """Take out of `small`, in place, what computes nothing any more. Its removed groups have one channel left.

    What no output depends on any more, as a norm before a branch, is not to be trained: trainers that share a network out
    wait for a gradient of each parameter.
    """
    gone = mask_of(graph, emptied(graph, keep))
    modules = dict(modules_of(small))
    new: dict[int, nn.Module] = {}
    for layer in graph.layers:
        if gone[layer.outputs].all():
            module = modules[layer.weight.removesuffix(".weight")]
            new[id(module)] = Removed(module)
    for silent in silent_layers(graph, keep, small):
        new[id(modules[silent.path])] = Constant(modules[silent.path])
        if silent.norm:
            norm = modules[silent.norm]
            assert isinstance(norm, _BatchNorm)  # as `_norms` sees to
            new[id(norm)] = Settled(norm)
    for module in modules.values():
        for name, child in module._modules.items():
            if id(child) in new:
                module._modules[name] = new[id(child)]
    tensors = tensor_names(small)
    for name in _read(graph.recording) - _read(record(small, *graph.example.empty())):
        if name in tensors:
            tensors[name].requires_grad_(False)


def _read(recording: Recording) -> set[str]:
    """The parameters that a network's outputs depend on."""
    values = {value for i in needed(recording) for value in recording.ops[i].reads}
    return {recording.values[v].name for v in values if recording.values[v].origin == "parameter"}
