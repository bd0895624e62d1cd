"""What the blocks of the property tests are made from."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Pick = Callable[[list[int]], int]
BLOCKS: dict[str, Callable[[int, Pick], tuple[nn.Module, int]]] = {}


def block(make: Callable[[int, Pick], tuple[nn.Module, int]]) -> Callable[[int, Pick], tuple[nn.Module, int]]:
    BLOCKS[make.__name__.rstrip("_")] = make
    return make


class Does(nn.Module):
    """A block whose forward is a function of itself and its input; keyword arguments become attributes."""

    def __init__(self, forward: Callable[["Does", Tensor], Tensor], **parts: object) -> None:
        super().__init__()
        self.does = forward
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.does(self, x)


def even(c: int, m: int = 2) -> tuple[nn.Module, int]:
    """A convolution to the next multiple of m: many blocks need one."""
    out = max(m, (c + m - 1) // m * m)
    return nn.Conv2d(c, out, 1), out


def after(conv: nn.Module, what: nn.Module) -> nn.Module:
    return nn.Sequential(conv, what)


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.rand(shape) + 0.5)


def fixed(forward: Callable[[Does, Tensor], Tensor], c: int, m: int = 2, **parts: object) -> tuple[nn.Module, int]:
    conv, c = even(c, m)
    return after(conv, Does(forward, **parts)), c
