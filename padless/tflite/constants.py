"""What a forward makes of parameters and numbers alone: worked out when the file is written."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from padless.graph.recording import Op, Recording, Ref
from padless.graph.shadow import tensor_names
from padless.graph.views import LIKE

MAKERS = frozenset(
    ["arange", "zeros", "ones", "full", "linspace", "scalar_tensor", "eye"]
)  # of constants, from nothing


def once(data: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A constant with one place along each axis on which it only repeats itself."""
    for axis in range(data.ndim):
        first = data.take([0], axis) if data.shape[axis] > 1 else data
        data = first if (data == first).all() else data
    return data


class Constants:
    """The values of a recording that are the same whatever the input is."""

    def __init__(self, recording: Recording, model: nn.Module) -> None:
        self.recording, self.parameters = recording, tensor_names(model)
        self.transposed: dict[int, int] = {}  # value -> weight
        self.folded: dict[int, torch.Tensor] = {}  # value -> what the forward makes of constants alone
        self.roots: dict[int, frozenset[str]] = {}  # folded value -> the parameters it is made of

    def known(self, value: int) -> torch.Tensor | None:
        """The values of a constant; None for an activation."""
        if value in self.transposed:
            weight = self.known(self.transposed[value])
            return None if weight is None else weight.t()
        tensor = self.folded.get(value, self.parameters.get(self.recording.values[value].name))
        if tensor is None and value in self.recording.contents and self.recording.values[value].origin == "constant":
            return torch.from_numpy(self.recording.contents[value])
        return tensor

    def fold(self, op: Op) -> bool:
        """Run an operation now if it reads constants alone. A weight's transposition is noted for the layer behind it."""
        name = op.name.removeprefix("aten.")
        reads, like = op.inputs(), name in LIKE
        if any(self.known(v) is None for v in (reads[1:] if like else reads)):
            return False
        if name == "t":
            self.transposed[op.outputs[0]] = reads[0]
            return True
        if not reads and name not in MAKERS:
            return False

        def real(arg: Any) -> Any:
            if isinstance(arg, Ref):
                constant = (
                    torch.zeros(self.recording.shape(arg.value))
                    if like and arg.value == reads[0]
                    else self.known(arg.value)
                )
                return constant.clone() if constant is not None and name.endswith("_") else constant
            return [real(a) for a in arg] if isinstance(arg, list | tuple) else arg

        kwargs = {name: real(arg) for name, arg in op.kwargs.items() if name not in ("device", "layout", "pin_memory")}
        with torch.no_grad():
            result = op.function(*map(real, op.args), **kwargs)
        roots = frozenset().union(*(self.made_of(v) for v in reads if self.known(v) is not None))
        for value, tensor in zip(op.outputs, [result] if isinstance(result, torch.Tensor) else result, strict=True):
            self.folded[value], self.roots[value] = tensor, roots
        return True

    def made_of(self, value: int) -> frozenset[str]:
        """The names of the parameters that a constant is made of."""
        value = self.transposed.get(value, value)
        return self.roots.get(value, frozenset([self.recording.values[value].name]))
