"""What every pass over a model needs: where it lives, its training modes back afterwards, its layers as they are called."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from padless.errors import UsageError, expect

PLAIN = (F.conv1d, F.conv2d, F.conv3d)
TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
CONVOLUTIONS = (*PLAIN, *TRANSPOSED)
_NAMES: dict[Any, tuple[str, ...]] = {
    F.linear: ("input", "weight", "bias"),
    **dict.fromkeys(PLAIN, ("input", "weight", "bias", "stride", "padding", "dilation", "groups")),
    **dict.fromkeys(
        TRANSPOSED, ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
    ),
}
_DEFAULTS = {"bias": None, "stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1}


def device_of(model: nn.Module) -> torch.device:
    """Where the first parameter lives; the CPU for a model without any."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def batches_of(images: Iterable[Tensor]) -> list[Tensor]:
    """Calibration batches [N, ...], read once. Raises UsageError for what is no iterable of tensors."""
    if hasattr(images, "calibration"):
        raise UsageError(
            f"images is a {type(images).__name__}; expected batches [N, ...]. Give images.calibration(512, seed=0)."
        )
    if isinstance(images, Tensor):
        raise UsageError("images is one tensor; expected several batches [N, ...]. Write [images].")
    expect(images, Iterable, "images", "Give batches [N, ...] as the network takes them.")
    batches = list(images)
    for batch in batches:
        expect(batch, Tensor, "A batch of images", "Give tensors [N, ...] as the network takes them, without labels.")
    return batches


def eager() -> AbstractContextManager[Any]:
    """Inside, what `torch.compile` made runs as it is written."""
    if "torch._dynamo" not in sys.modules:  # nothing was compiled; importing it takes seconds
        return nullcontext()
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, and nothing is compiled; every module's own mode afterwards, whatever happened."""
    modes = {m: m.training for m in model.modules()}
    with suppress(NotImplementedError):  # an exported program has no modes
        model.eval()
    try:
        with eager():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


At = Callable[[str, Any, Mapping[str, Any], Callable[..., Tensor]], Tensor]
Norm = Callable[[Tensor, Tensor | None], None]


class LayerCalls(TorchFunctionMode):
    """Sees every convolution and linear map with one of `model`'s own weights, however it is called.

    `at(name, function, arguments, call)` is asked for the result in its place; `name` is the weight's path, `arguments`
    are those of `torch.nn.functional` by name, `call()` computes, `call(x)` on another input. `norm(input, running mean)`
    is told of each batch norm before it runs.
    """

    def __init__(self, model: nn.Module, at: At, norm: Norm | None = None) -> None:
        super().__init__()
        self.names = {id(p): name.replace("_orig_mod.", "") for name, p in model.named_parameters()}
        self.at, self.norm = at, norm

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _NAMES:
            given = {**_DEFAULTS, **dict(zip(_NAMES[func], args, strict=False)), **kwargs}
            name = self.names.get(id(given["weight"]))
            if name is not None:

                def call(x: Tensor | None = None) -> Any:
                    if x is None:
                        return func(*args, **kwargs)
                    return func(x, *args[1:], **{k: v for k, v in kwargs.items() if k != "input"})

                return self.at(name, func, given, call)
        elif func is F.batch_norm and self.norm:
            self.norm(args[0], args[1])
        return func(*args, **kwargs)


def channel_rows(x: Tensor, linear: bool, folded: int) -> Tensor:
    """[rows, channels]"""
    if linear:
        x = x.reshape(-1, x.shape[-1])
        if folded == 1:
            return x
        return x.reshape(len(x), -1, folded).movedim(1, -1).reshape(-1, x.shape[1] // folded)
    return x.movedim(1, -1).reshape(-1, x.shape[1])
