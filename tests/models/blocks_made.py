"""Blocks that make tensors of their own: zeros and ones of the sizes of others, filled place by place, padded on."""

import torch
from torch import nn
from torch.nn import functional as F

from models.block_base import Does, block


@block
def made_of_sizes(c, pick):
    def forward(m, x):
        ones = [x.new_ones(1, m.width, 1, 1), torch.ones(x.shape[1], 1, 1), x.new_full((1, 1, 1, 1), 2.0)]
        return x * 2 + ones[m.kind]

    return Does(forward, width=c, kind=pick([0, 1, 2])), c


@block
def filled(c, pick):
    def forward(m, x):
        kinds = [x.new_zeros(x.shape), x.new_empty(x.shape), torch.zeros(x.shape[0], m.width, 8, 8, dtype=x.dtype)]
        out = kinds[m.kind]
        out[:, :, ::2], out[:, :, 1::2] = x[:, :, 1::2], x[:, :, ::2]
        return out * 1

    return Does(forward, width=c, kind=pick([0, 1, 2])), c


@block
def cost_volume(c, pick):
    def forward(m, x):
        volume = x.new_zeros(x.shape[0], 4, *x.shape[2:])
        for d in range(4):
            volume[:, d, :, d:] = (x[..., d:] * x[..., : x.shape[-1] - d]).mean(1)
        return volume

    return Does(forward), 4


@block
def circular(c, pick):
    return nn.Conv2d(c, 5, 3, padding=1, padding_mode="circular"), 5


@block
def joined_zeros(c, pick):
    more = pick([1, 4])

    def forward(m, x):
        x = torch.cat([x, x.new_zeros(x.shape[0], m.more, *x.shape[2:])], 1)
        return F.relu(m.conv(x))

    return Does(forward, more=more, conv=nn.Conv2d(c + more, 5, 1)), 5


@block
def shortcut_with_zeros(c, pick):
    """Zeros for the channels that a block adds, as BlazeFace and ResNets without projections have them."""
    more = pick([2, 3, 4])
    conv = nn.Conv2d(c, c + more, 3, padding=1)
    return Does(lambda m, x: (m.conv(x) + F.pad(x, (0, 0, 0, 0, 0, m.more))).relu(), conv=conv, more=more), c + more


@block
def cropped(c, pick):
    even_conv, lost = nn.Conv2d(c, 8, 1), pick([2, 4])
    crop = Does(lambda m, x: m.conv(F.pad(x, (0, 0, 0, 0, 0, -m.lost))), lost=lost, conv=nn.Conv2d(8 - lost, 5, 1))
    return nn.Sequential(even_conv, crop), 5


@block
def padded_by_another(c, pick):
    b = pick([2, 5])

    def forward(m, x):
        other = m.b(x)
        return torch.cat([x, other], 1) * F.pad(x, (0, 0, 0, 0, 0, other.shape[1])) + m.both(x)

    return Does(forward, b=nn.Conv2d(c, b, 1), both=nn.Conv2d(c, c + b, 1)), c + b
