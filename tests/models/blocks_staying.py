"""Blocks on whose axes a part must stay that fills no units, beside channels that may be cut."""

import torch
from torch import Tensor, nn

from models.block_base import Does, Pick, block


def _wide(c: int, pick: Pick) -> tuple[nn.Module, int]:
    """A convolution to widths that units of 8, 16 and 32 leave room in."""
    width = pick([24, 37, 68])
    return nn.Conv2d(c, width, 1), width


@block
def literal_shift(c, pick):
    """A temporal shift: the first channels, a literal number of them, are moved."""
    conv, width = _wide(c, pick)
    fold = pick([3, 4, 9])

    def shift(m: Does, x: Tensor) -> Tensor:
        x = m.conv(x).relu()
        return m.out(torch.cat([x[:, :fold].roll(1, 3), x[:, fold:]], 1))

    return Does(shift, conv=conv, out=nn.Conv2d(width, 5, 1)), 5


@block
def literal_partial_convolution(c, pick):
    """A partial convolution: a literal number of channels go through it."""
    conv, width = _wide(c, pick)
    part = pick([3, 8, 10])

    def some(m: Does, x: Tensor) -> Tensor:
        x = m.conv(x).relu()
        return m.out(torch.cat([m.part(x[:, :part]), x[:, part:]], 1))

    return Does(some, conv=conv, part=nn.Conv2d(part, part, 3, padding=1), out=nn.Conv2d(width, 6, 1)), 6


@block
def first_channel_gate(c, pick):
    conv, width = _wide(c, pick)

    def gate(m: Does, x: Tensor) -> Tensor:
        x = m.conv(x).relu()
        return m.out(x * x[:, :1].sigmoid())

    return Does(gate, conv=conv, out=nn.Conv2d(width, 4, 1)), 4


@block
def last_channels_apart(c, pick):
    """A literal number of channels beside two branches that are joined."""
    conv, width = _wide(c, pick)
    other, more = _wide(c, pick)

    def join(m: Does, x: Tensor) -> Tensor:
        y = m.conv(x).relu()
        y = torch.cat([y[:, :5].flip(3), y[:, 5:], m.other(x)], 1)
        return m.out(y)

    return Does(join, conv=conv, other=other, out=nn.Conv2d(width + more, 8, 1)), 8


@block
def image_beside(c, pick):
    """Channels that no layer makes, as the image's, beside a convolution's; then a depthwise convolution over both."""
    conv, width = _wide(c, pick)
    image = torch.rand(1, 3, 8, 8)
    depthwise = nn.Conv2d(width + 3, width + 3, 3, padding=1, groups=width + 3)

    def beside(m: Does, x: Tensor) -> Tensor:
        y = torch.cat([m.image.expand(len(x), -1, -1, -1), m.conv(x)], 1)
        return m.out(m.depthwise(y).relu())

    return Does(beside, conv=conv, image=image, depthwise=depthwise, out=nn.Conv2d(width + 3, 7, 1)), 7
