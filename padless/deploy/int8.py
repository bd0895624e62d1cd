"""What an NPU makes of a network in INT8, computed in floats: fake quantisation as its arithmetic rounds."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from padless.batches import count_of, images_of
from padless.calls import TRANSPOSED, LayerCalls, evaluating, run
from padless.errors import PadlessError, UsageError
from padless.progress import bar
from padless.treat.grid import scales

JOINS = {
    "add", "add_", "__add__", "__iadd__", "__radd__", "sub", "__sub__", "mul", "mul_", "__mul__", "__imul__", "__rmul__",
    "cat", "concat", "concatenate",
}  # fmt: skip
IN_PLACE = {"add_", "__iadd__", "mul_", "__imul__"}


class Int8(nn.Module):
    """`model` as an INT8 NPU computes it. Weights are symmetric per output channel (which makes folding of batch norms no
    difference), activations asymmetric per tensor, as in TFLite's specification (Jacob et al., arXiv:1712.05877). Ranges
    are the extremes over `images`, batches [n, ...] (tuples of several arguments, or dictionaries).

    Rounded are the inputs of convolutions and linear maps (behind batch norm and activation, which NPUs fuse), both sides of
    sums and products, the parts of concatenations, and the outputs. Not rounded: layers whose weights are computed from
    others, biases (int32), and what lies inside softmax, pooling and interpolation. Evaluation mode.

    Raises UsageError without images.
    """

    def __init__(self, model: nn.Module, images: Iterable[Any]) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.ranges: list[tuple[float, float]] = []
        axes: dict[str, int] = {}

        def at(name: str, function: Any, arguments: Mapping[str, Any], call: Callable[..., Tensor]) -> Tensor:
            axes[name] = 1 if function in TRANSPOSED and arguments["groups"] == 1 else 0
            return call()

        first = True
        with torch.no_grad(), evaluating(self.model), bar("Calibrating INT8", None) as shown:
            for batch in images:
                if first:
                    with LayerCalls(self.model, at):
                        run(self.model, images_of(batch, 0, 1))
                    for name, axis in axes.items():
                        _round_weight(self.model.get_parameter(name), axis)
                    first = False
                with _Sites(self.model, self.ranges, observing=True) as sites:
                    sites.all(run(self.model, batch))
                shown.advance(count_of(batch))
        self.eval()
        if first:
            raise UsageError("No images to find the ranges of activations on. Was the iterator used up before?")

    def forward(self, *inputs: Any) -> Any:
        with _Sites(self.model, self.ranges, observing=False) as sites:
            return sites.all(self.model(*inputs))


class _Sites(LayerCalls):
    """Every place where activations are stored, in the order of a run: seen, or rounded to what was seen."""

    def __init__(self, model: nn.Module, ranges: list[tuple[float, float]], *, observing: bool) -> None:
        super().__init__(model, self._layer)
        self.ranges, self.observing, self.place = ranges, observing, 0

    def _layer(self, name: str, function: Any, arguments: Mapping[str, Any], call: Callable[..., Tensor]) -> Tensor:
        return call(self.stored(arguments["input"]))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name not in JOINS:
            return super().__torch_function__(func, types, args, kwargs)
        arguments = {k: self.all(v) for k, v in (kwargs or {}).items()}
        if name in IN_PLACE and args and self._is_stored(args[0]):
            args[0].copy_(self.stored(args[0]))
            return func(args[0], *map(self.all, args[1:]), **arguments)
        return func(*map(self.all, args), **arguments)

    def all(self, value: Any) -> Any:
        """A tensor, or those in a sequence."""
        if isinstance(value, list | tuple) and all(isinstance(part, Tensor) for part in value):
            return type(value)(map(self.all, value)) if type(value) in (list, tuple) else value
        return self.stored(value) if self._is_stored(value) else value

    def _is_stored(self, value: Any) -> bool:
        return (
            isinstance(value, Tensor)
            and not isinstance(value, nn.Parameter)
            and value.is_floating_point()
            and value.ndim >= 2
        )

    def stored(self, x: Tensor) -> Tensor:
        place, self.place = self.place, self.place + 1
        if self.observing:
            seen = x.detach()[x.detach().isfinite()]
            low, high = (float(extreme) for extreme in seen.aminmax()) if seen.numel() else (0.0, 0.0)
            if place == len(self.ranges):
                self.ranges.append((0.0, 0.0))
            self.ranges[place] = min(low, self.ranges[place][0]), max(high, self.ranges[place][1])
            return x
        if place == len(self.ranges):
            raise PadlessError("This network computes more on some images than on others: it has no fixed ranges.")
        low, high = self.ranges[place]
        scale = max((high - low) / 255, 1e-12)
        finite = x.float().clamp(low, high)  # what is beyond is stored as the extreme
        return torch.fake_quantize_per_tensor_affine(finite, scale, round(-128 - low / scale), -128, 127).to(x.dtype)


def _round_weight(weight: Tensor, axis: int) -> None:
    filters = weight.movedim(axis, 0).flatten(1).float()
    steps = torch.from_numpy(scales(filters.double().cpu().numpy())).to(filters)
    zeros = torch.zeros_like(steps, dtype=torch.int32)
    weight.copy_(torch.fake_quantize_per_channel_affine(weight.float(), steps, zeros, axis, -127, 127))
