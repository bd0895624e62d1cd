"""One node of an ONNX graph as a module."""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from padless.errors import UsageError
from padless.onnx.operators import Operator
from padless.onnx.operators.table import Form

Kind = Literal["given", "own", "value", "absent"]


def refusal(operator: str, node: str, why: str) -> UsageError:
    """The error for a node that cannot be read; with what may help."""
    return UsageError(
        f"The ONNX operator {operator} (node {node}) {why}. Cut the network off before it with --until TENSOR "
        "(until=… in Python), or export the model another way."
    )


@dataclass(frozen=True, slots=True)
class Input:
    """Where one input comes from: `given` by another node, the module's `own` attribute, a `value` that never changes."""

    kind: Kind
    held: Any = None  # the attribute's name, or the value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class About:
    """What a node is, beside what a cut may change."""

    operator: str
    name: str
    opset: int
    attributes: dict[str, Any]
    outputs: int
    inputs: tuple[Input, ...]
    read_by: Operator
    fill: float | int = 0.0  # of ConstantOfShape

    def __deepcopy__(self, memo: dict[int, Any]) -> "About":
        return self  # shared by the copies of a network


class Node(nn.Module):
    """Its float constants are parameters (statistics are buffers), the whole numbers that may follow a cut attributes.

    The forward is given what other nodes computed, and returns the node's output, or a tuple of several.
    """

    batched: bool  # a Reshape that has the batch written into it
    transposed: bool  # the weight lies as a linear layer's
    has_bias: bool

    def __init__(self, about: About) -> None:
        super().__init__()
        self.about = about
        self.batched = self.transposed = self.has_bias = False

    @property
    def operator(self) -> str:
        return self.about.operator

    @property
    def opset(self) -> int:
        return self.about.opset

    @property
    def outputs(self) -> int:
        return self.about.outputs

    @property
    def fill(self) -> float | int:
        return self.about.fill

    def get(self, name: str, default: Any) -> Any:
        """An attribute of the node."""
        return self.about.attributes.get(name, default)

    def is_given(self, index: int) -> bool:
        """Whether that input is computed by another node."""
        return index < len(self.about.inputs) and self.about.inputs[index].kind == "given"

    def refused(self, why: str) -> UsageError:
        return refusal(self.operator, self.about.name, why)

    def forward(self, *given: Any) -> Any:
        values = iter(given)
        arguments = [self._read(each, values) for each in self.about.inputs]
        on_host = self.about.read_by.on_host
        form: Form | None = self.about.read_by.form
        if on_host is not None and not any(isinstance(a, Tensor) for a in arguments):
            form = on_host
        assert form is not None
        return form(self, *arguments)

    def _read(self, source: Input, given: Any) -> Any:
        if source.kind == "given":
            return next(given)
        return getattr(self, source.held) if source.kind == "own" else source.held

    def extra_repr(self) -> str:
        return self.operator
