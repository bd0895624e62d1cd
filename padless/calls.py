"""What every pass over a model needs: where it lives, its training modes back afterwards, its layers as they are called."""

import sys
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from padless.batches import arguments, mapped
from padless.errors import UsageError

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


def imported(name: str) -> Any:
    """What `package.module:function` names; a module beside the user is found, too, if no installed one is called so."""
    module, _, function = name.partition(":")
    with current_folder():
        return getattr(import_module(module), function)


@contextmanager
def current_folder() -> Iterator[None]:
    """Inside, modules are also looked for in the current folder, after all other places: a file there that is called as a
    package that padless needs, such as onnx.py, must not stand in for it."""
    invalidate_caches()  # the module may be younger than the last look at its folder
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        yield
    finally:
        last = len(sys.path) - 1 - sys.path[::-1].index(here) if here in sys.path else None
        if last is not None:  # the user's module may have changed the path, too
            del sys.path[last]


def check_finite(
    model: nn.Module,
    where: str = "The network",
    given: Mapping[str, Tensor] | None = None,
    besides: Container[str] = (),
) -> None:
    """Raises UsageError, naming the tensor, for weights and running statistics that are not finite: the model's, or `given`.

    Other buffers may well hold an infinity, such as the mask of an attention. Those named in `besides` are left out.
    """
    running = ((n, b) for n, b in model.named_buffers() if n.rpartition(".")[2].startswith("running_"))
    for name, own in (*model.named_parameters(), *running):
        tensor = own if given is None else given.get(name, own)
        # A sum is finite only where all of it is, and several times as fast.
        if name in besides or tensor.is_meta or bool(tensor.detach().sum().isfinite()):
            continue
        expect_finite(name, tensor, where)


def expect_finite(name: str, tensor: Tensor, where: str = "The network") -> None:
    """Raises UsageError for a tensor of a network that is not finite."""
    if bool(tensor.isfinite().all()):
        return
    wrong = int((~tensor.isfinite()).sum())
    what = "NaN" if bool(tensor.isnan().any()) else "infinity"
    raise UsageError(
        f"{where} holds {what} in {name}: {wrong} of {tensor.numel()} numbers are not finite. Nothing can be said "
        "of such a network. Give other weights."
    )


def run(model: nn.Module, batch: Any) -> Any:
    """The model's outputs on a batch, which is brought to where the model lies and to its type."""
    return model(*arguments(like_model(batch, model)))


def like_model(batch: Any, model: nn.Module) -> Any:
    """A batch where the model's parameters lie, its floating point tensors of their type."""
    parameter = next((p for p in model.parameters() if p.is_floating_point()), None)
    dtype = None if parameter is None else parameter.dtype
    device = device_of(model)
    return mapped(batch, lambda t: t.to(device, dtype if dtype and t.is_floating_point() else t.dtype))


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


def class_scores(outputs: Tensor) -> Tensor:
    """Outputs [N, K] as scores that a softmax makes probabilities of: those of a network that ends in one are logarithms.

    Else such probabilities would be flattened by a second softmax: to 0.27 and 0.73 at most between two classes.
    """
    seen = outputs.detach()
    if seen.min() < 0 or not torch.allclose(seen.sum(1), torch.ones_like(seen[:, 0]), atol=1e-2):
        return outputs
    return outputs.clamp_min(torch.finfo(outputs.dtype).tiny).log()


def channel_rows(x: Tensor, linear: bool, folded: int) -> Tensor:
    """[rows, channels]"""
    if linear:
        x = x.reshape(-1, x.shape[-1])
        if folded == 1:
            return x
        return x.reshape(len(x), -1, folded).movedim(1, -1).reshape(-1, x.shape[1] // folded)
    return x.movedim(1, -1).reshape(-1, x.shape[1])
