"""The masked original: what the network computes when the removed channels do not count.

It is the original, run as it is, but for the operations that sum or reduce over channels. A sum of products sees zeros
for the removed ones. What depends on how many channels there are (a mean over channels, a layer norm, the standardisation
of a weight over its inputs) runs on those that are left, and the removed places of its result are zeros. A recurrent layer
has zeros in its weights, since how it is computed is the device's affair.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from padless.batches import tensors_in
from padless.calls import eager
from padless.graph import Graph, Keep, places
from padless.graph.channels import Contraction, Place
from padless.graph.dispatch import Dispatch
from padless.graph.record import follow_paths
from padless.graph.recurrent import WHOLE
from padless.graph.shadow import modules_of, rebuilt

Key = tuple[str, str, int]  # the operation, the module's path, and which of those in that module it is


class Reference:
    """Runs the original under a mask. Contractions are found again by their place in their module."""

    def __init__(self, graph: Graph, keep: Keep) -> None:
        self.graph = graph
        self.keep, self.masked = keep, graph.masked
        self.left = places(graph.numbered, keep) > 0
        counts: Counter[tuple[str, str]] = Counter()
        wanted = {c.op: c for c in graph.contractions if self._is_cut(c)}
        self.names = {_family(graph.recording.ops[i].name) for i in wanted}
        self.at: dict[Key, Contraction] = {}
        for i, op in enumerate(graph.recording.ops):
            name = _family(op.name)
            if name in self.names:
                counts[name, op.module] += 1
                if i in wanted:
                    self.at[name, op.module, counts[name, op.module]] = wanted[i]

    def _is_cut(self, contraction: Contraction) -> bool:
        return not all(self.left[p.ids].all() for p in (*contraction.inputs, *contraction.outputs))

    def run(self, model: nn.Module, inputs: Sequence[Any]) -> list[Tensor]:
        """The outputs of a copy of `model`, which is only read, called with `inputs`."""
        copied = rebuilt(model, self._masked)
        path = [""]
        follow_paths(modules_of(copied), path)
        masked = _Masked(self, path)
        with torch.no_grad(), eager(), sdpa_kernel(SDPBackend.MATH), masked, _Whole(masked):
            return self._outputs(list(tensors_in(copied(*inputs))))

    def _outputs(self, results: list[Tensor]) -> list[Tensor]:
        """The outputs with the channels that are left: of those that were not to stay, some may be gone."""
        for i, value in enumerate(self.graph.recording.outputs):
            axis = self.graph.values.get(value)
            if axis is not None and value not in self.graph.recording.staying and len(results) > i:
                left = places(axis.channels, self.keep).nonzero()[0]
                results[i] = results[i].index_select(axis.axis, torch.from_numpy(left).to(results[i].device))
        return results

    def _masked(self, name: str, tensor: Tensor) -> Tensor:
        """A parameter as it is, or with zeros for the removed columns of a recurrent layer."""
        for axis in self.masked:
            if axis.parameter == name:
                gone = np.flatnonzero(places(axis.channels, self.keep) == 0)
                tensor = tensor.index_fill(axis.axis, torch.from_numpy(gone).to(tensor.device), 0)
        return tensor

    def kept(self, place: Place) -> Tensor:
        return torch.from_numpy(self.left[place.ids])

    def call(self, contraction: Contraction, func: Any, args: tuple[Any, ...], kwargs: dict[str, object]) -> Any:
        tensors = list(tensors_in((args, kwargs)))
        for place in contraction.inputs:
            tensor, axis, kept = place.tensor, place.axis, self.kept(place)
            if contraction.how == "zero" and _family(_name(func)) == PRODUCT:
                tensor, axis = len(tensors) - 2, tensors[-2].ndim - 1
            x = tensors[tensor]
            if contraction.how == "gather":
                tensors[tensor] = x.index_select(axis, kept.nonzero()[:, 0])
            else:
                shape = [-1 if a == axis else 1 for a in range(x.ndim)]
                tensors[tensor] = torch.where(kept.reshape(shape), x, torch.zeros_like(x))
        supply = iter(tensors)
        args, kwargs = _refilled((args, kwargs), supply)
        if contraction.how == "zero":
            return func(*args, **kwargs)
        result = func(*_fitted(func, args), **kwargs)
        several = isinstance(result, tuple | list)
        parts = list(result) if several else [result]
        for place in contraction.outputs:
            part, kept = parts[place.tensor], self.kept(place)
            size = list(part.shape)
            size[place.axis] = len(kept)
            parts[place.tensor] = part.new_zeros(size).index_copy(place.axis, kept.nonzero()[:, 0], part)
        return type(result)(parts) if several else parts[0]


PRODUCT = "a product of matrices"


def _name(func: Any) -> str:
    return f"{func.namespace}.{func.overloadpacket.__name__}"


def _family(name: str) -> str:
    """torch decides by the memory layout which of these a product becomes; all sum over the last axis of the first."""
    return PRODUCT if name in ("aten.mm", "aten.bmm", "aten.addmm", "aten.baddbmm") else name


def _fitted(func: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments that name sizes, brought to those of the gathered input."""
    name = _name(func)
    if name == "aten.native_layer_norm":
        x, sizes, *rest = args
        return (x, list(x.shape[x.ndim - len(sizes) :]), *rest)
    if name == "aten.native_group_norm":
        x, weight, bias, _, _, _, *rest = args
        return (x.contiguous(), weight, bias, x.shape[0], x.shape[1], x[0, 0].numel(), *rest)
    return args


def _refilled(tree: Any, supply: Any) -> Any:
    if isinstance(tree, Tensor):
        return next(supply)
    if isinstance(tree, dict):
        return {k: _refilled(v, supply) for k, v in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(_refilled(x, supply) for x in tree)
    return tree


class _Whole(TorchFunctionMode):
    """Keeps what is inside of a recurrent layer, which is recorded as one operation, from being counted."""

    def __init__(self, masked: "_Masked") -> None:
        super().__init__()
        self.masked = masked

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in WHOLE:
            return func(*args, **(kwargs or {}))
        self.masked.inside = True
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.masked.inside = False


class _Masked(Dispatch):
    def __init__(self, reference: Reference, path: list[str]) -> None:
        super().__init__()
        self.reference, self.path, self.inside = reference, path, False
        self.counts: defaultdict[tuple[str, str], int] = defaultdict(int)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = _family(_name(func))
        if name in self.reference.names and not self.inside:
            place = (name, self.path[-1])
            self.counts[place] += 1
            contraction = self.reference.at.get((*place, self.counts[place]))
            if contraction is not None:
                return self.reference.call(contraction, func, args, kwargs or {})
        return func(*args, **(kwargs or {}))
