"""`load_onnx`: an ONNX file as a module."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from padless.errors import UsageError, expect
from padless.onnx.build import Builder
from padless.onnx.control import decided
from padless.onnx.dequantise import dequantised
from padless.onnx.examine import examined
from padless.onnx.files import read
from padless.onnx.network import OnnxNet, Port
from padless.onnx.prepare import check_operators, cut_off, drop_unread


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a file is read, as a run remembers it: quantised ones folded back, and where the network is cut off."""

    dequantise: bool = False
    until: tuple[str, ...] = ()


Shapes = Sequence[int] | Sequence[Sequence[int]] | Mapping[str, Sequence[int]]
ELEMENTS = 1 << 28  # of an input


def load_onnx(
    path: str | Path,
    *,
    input_shape: Shapes | None = None,
    dequantise: bool = False,
    until: str | Sequence[str] | None = None,
) -> OnnxNet:
    """The network in an ONNX file (opset 9 to 23) as a module of plain torch operations, in evaluation mode.

    Everything of padless works on it, and `padless.export(…, "small.onnx")` writes the cut network back into the same
    graph. Its modules are named by their nodes; half precision is computed in float32. `input_shape` is (1, 3, 224, 224), or
    {name: shape} for several inputs (or a list of all their shapes, in the file's order), and overrides axes that the file
    leaves open (a batch left open is 1). `dequantise` folds a file between QuantizeLinear and DequantizeLinear nodes back to
    floating point; `until` names the tensors to cut the network off at, in front of what has no form here.

    Raises UsageError for what is no valid file, naming its fault; for operators without a form, by operator and node; for
    quantised files without `dequantise`; where a shape is missing or does not fit.
    """
    expect(path, (str, Path), "path", "Give the path of an ONNX file.")
    file = Path(path)
    model, digest, external = read(file)
    if until is not None:
        cut_off(file, model, until)
    decided(file, model)
    drop_unread(model.graph)
    if dequantise:
        dequantised(file, model)
    check_operators(model.graph)
    network = Builder(file, model).network(digest, external)
    shapes = _shapes(file, network.source.inputs, input_shape)
    return examined(network, shapes).eval()


def _shapes(file: Path, ports: Sequence[Port], given: Shapes | None) -> list[tuple[int, ...]]:
    """A shape for each input, from the file and what was given."""
    if not ports:
        raise UsageError(f"{file} has no inputs.")
    names = [port.name for port in ports]
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise UsageError(f"{file} has no input {unknown[0]!r}; it has {', '.join(names)}.")
        chosen = dict(given)
    else:
        alone = given is not None and all(isinstance(n, int) for n in given)
        listed = [given] if alone else list(given or [])
        if given is not None and len(listed) != len(ports):
            raise UsageError(
                f"{file} has the inputs {', '.join(names)}; {len(listed)} shape{'s' if len(listed) != 1 else ''} given. "
                "Give {name: shape}, on the command line --input-shape NAME=SHAPE, or a list of one for each."
            )
        chosen = dict(zip(names, cast("list[Sequence[int]]", listed), strict=False))
    shapes = []
    for port in ports:
        shape = _shape(file, port, chosen.get(port.name), len(ports) > 1)
        count = 1
        for n in shape:
            count *= n
        if count > ELEMENTS:
            raise UsageError(f"{file}: the input {port.name!r} has the shape {list(shape)}: {count} elements.")
        shapes.append(shape)
    return shapes


def _shape(file: Path, port: Port, given: Sequence[int] | None, several: bool) -> tuple[int, ...]:
    own = port.shape
    assert own is not None  # ONNX's checker asks for the shapes of inputs
    shown = [n if n is not None else "?" for n in own]
    if given is not None:
        fits = len(own) == len(given) and all(not isinstance(a, int) or a == b for a, b in zip(own, given, strict=True))
        if not fits or not all(isinstance(n, int) and n > 0 for n in given):
            raise UsageError(
                f"The input {port.name!r} of {file} has the shape {shown}; {list(given)} does not fit. Only axes that the "
                "file leaves open can be chosen."
            )
        return tuple(given)
    shape = [1 if axis == 0 and not isinstance(n, int) else n for axis, n in enumerate(own)]
    if not all(isinstance(n, int) and n > 0 for n in shape):
        example = ",".join(str(n) if isinstance(n, int) and n > 0 else "224" for n in shape)
        raise UsageError(
            f"The input {port.name!r} of {file} has the shape {shown}. Give its open axes with --input-shape, such as "
            f"{f'{port.name}=' if several else ''}{example}."
        )
    return tuple(n for n in shape if isinstance(n, int))
