"""One process or many, one device or many: Lightning Fabric, and batch norm over all of them."""

import atexit
import logging
import os
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.distributed
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from padless.errors import UsageError
from padless.pool import CORES
from padless.train.recipe import TrainingPrecision

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def make_fabric(
    accelerator: str = "auto", devices: int | list[int] = 1, precision: TrainingPrecision = "auto"
) -> "Fabric":
    """A launched Fabric for `devices` (how many, or which) of this machine, or for those that `torchrun` started us for.

    Raises UsageError where there are no such devices.
    """
    from lightning_fabric import Fabric  # here: to import it takes longer than most commands
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    world, local = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    started = "TORCHELASTIC_RUN_ID" in os.environ
    devices, nodes = (local, world // local) if started else (devices, 1)
    there = torch.cuda.device_count() if accelerator in ("auto", "cuda", "gpu") else 0
    there = there or (CORES if accelerator in ("auto", "cpu") else 0)
    if not started and isinstance(devices, int) and there and devices > there:
        raise UsageError(f"There are {there} device(s) of the kind {accelerator} here; {devices} were asked for.")
    many = (devices if isinstance(devices, int) else len(devices)) * nodes
    try:
        fabric = Fabric(
            accelerator=accelerator, devices=devices, num_nodes=nodes, precision=precision_of(precision, accelerator),
            strategy="ddp" if many > 1 else "auto",
        )  # fmt: skip
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise UsageError(f"No {many} device(s) of the kind {accelerator}: {error}") from error
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # what it says of its processes
    fabric.launch()
    if many > 1:
        atexit.register(_leave)
    return fabric


def _leave() -> None:
    """Gloo's threads may hold tensors, and freeing them while the interpreter ends aborts it (pytorch/pytorch#179291)."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def precision_of(precision: TrainingPrecision = "auto", accelerator: str = "auto") -> Literal["bf16-mixed", "32-true"]:
    """What Fabric trains in: bfloat16 beside float32 where it is asked for, or pays on this device."""
    if precision == "auto":
        gpu = accelerator in ("cuda", "gpu") or (accelerator == "auto" and torch.cuda.is_available())
        pays = torch.cuda.is_bf16_supported(including_emulation=False) if gpu else _bf16_pays_on_this_cpu()
        precision = "bfloat16" if pays and accelerator != "mps" else "float32"
    return "bf16-mixed" if precision == "bfloat16" else "32-true"


def _bf16_pays_on_this_cpu() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


class _Sum(torch.autograd.Function):
    """A sum over processes, whose gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradients[0])


def _over_all(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)
    return total


class GlobalBatchNorm(TorchFunctionMode):
    """Batch norms use the statistics of all processes' images, so that many processes compute what one would.

    As torch.nn.SyncBatchNorm (which needs GPUs), on whatever the processes speak over.
    """

    def __init__(self, world: int) -> None:
        super().__init__()
        self.world = world

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.batch_norm:
            return self._batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return F.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
        axes = [0, *range(2, input.ndim)]
        shape = [1, -1] + [1] * (input.ndim - 2)
        count = input.numel() // input.shape[1] * self.world
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        mean = _over_all(x.sum(axes)) / count
        var = _over_all((x - mean.reshape(shape)).square().sum(axes)) / count
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean.detach(), momentum)
            running_var.lerp_(var.detach() * (count / max(1, count - 1)), momentum)
        scale = (var + eps).rsqrt() * (1 if weight is None else weight)
        shift = (0 if bias is None else bias) - mean * scale
        normed: Tensor = x * scale.reshape(shape) + shift.reshape(shape)
        return normed.to(input.dtype)
