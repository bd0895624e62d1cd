"""Blocks that transform, compare and write elements along other axes than the channels'."""

import torch
from torch import nn
from torch.nn import functional as F

from models.block_base import Does, block, fixed, parameter


def choose(pick, kinds):
    return kinds[pick(list(range(len(kinds))))]


@block
def along_rows(c, pick):
    """One of many ways to work along rows or columns."""
    kinds = [
        lambda m, x: x.cumsum(2) * x.argmax(2, keepdim=True) + x.argmin(3).to(x.dtype)[..., None],
        lambda m, x: x - x.median(2, keepdim=True)[0] + x.kthvalue(2, 3)[0][..., None] + x.cummax(2)[0],
        lambda m, x: x.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2)).repeat_interleave(2, 2).repeat_interleave(2, 3),
        lambda m, x: torch.fft.irfft2(torch.fft.rfft2(x) * 2, s=(8, 8)) + torch.fft.fft2(x).real,
        lambda m, x: x.triu() + x.tril() * x.diagonal(dim1=2, dim2=3)[..., None],
        lambda m, x: x.take_along_dim(x.argmax(2, keepdim=True), 2) + x,
        lambda m, x: torch.zeros_like(x).scatter(2, x.argmax(2, keepdim=True), 1.0) + x,
        lambda m, x: torch.zeros_like(x).scatter_add(3, x.argmax(3, keepdim=True), x[..., :1]) + x,
        lambda m, x: x.masked_fill(x > 1, 0.0) + torch.where(x > 0, x, 0.5),
        lambda m, x: torch.complex(x, x * 2).abs() + torch.view_as_real(torch.complex(x, x)).sum(-1),
        lambda m, x: torch.bucketize(x, torch.tensor([0.0, 0.5], dtype=x.dtype)) + x.index_select(2, torch.arange(7, -1, -1)),
        lambda m, x: F.logsigmoid(x) + F.rrelu(x) + torch.std_mean(x, (2, 3), keepdim=True)[1],
    ]  # fmt: skip
    kind = choose(pick, kinds)

    def forward(m, x):  # after nearest upsampling rows are equal but for rounding, and argmax is decided by that
        return kind(m, x + torch.linspace(0, 0.1, x[0, 0].numel(), dtype=x.dtype).view(x.shape[2:]))

    return fixed(forward, c)


@block
def over_channels(c, pick):
    """Reductions over those channels that are left."""
    kinds = [
        lambda m, x: x * x.max(1, keepdim=True)[0] + torch.maximum(x, m.p[:, None, None]),
        lambda m, x: x / (1 + torch.linalg.vector_norm(x, dim=1, keepdim=True)) + x / (1 + x.norm(3, 1, keepdim=True)),
        lambda m, x: x * (x > 0).count_nonzero(1)[:, None] + x.nansum(1, keepdim=True),
        lambda m, x: x * (x.mean((2, 3)) @ m.p)[:, None, None, None] + torch.dot(m.p, m.p),
        lambda m, x: x + torch.cdist(x.flatten(2).mT, x.flatten(2).mT[:, :30]).mean() * 0.1,
        lambda m, x: (
            torch.einsum("bchw,bc->bchw", x, x.mean((2, 3))) + torch.tensordot(x, m.p, dims=([1], [0]))[:, None]
        ),
    ]
    return Does(choose(pick, kinds), p=parameter(c)), c


@block
def resampled(c, pick):
    """Pools and resizes in one, two and three dimensions, uneven ones too."""
    kinds = [
        lambda m, x: F.adaptive_avg_pool2d(x, (3, 5)),
        lambda m, x: F.adaptive_max_pool2d(x, (5, 3)),
        lambda m, x: F.adaptive_avg_pool1d(x.flatten(2), 5)[..., None],
        lambda m, x: F.interpolate(x, scale_factor=2, mode="bilinear", antialias=True),
        lambda m, x: F.interpolate(x[:, :, None], scale_factor=2, mode="nearest-exact")[:, :, 1],
        lambda m, x: F.pad(x[:, :, None], (1, 1, 2, 2, 0, 0), mode="replicate")[:, :, 0],
        lambda m, x: F.pad(x.flatten(2), (3, 3), mode="reflect")[..., None],
        lambda m, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
        lambda m, x: F.grid_sample(
            x, F.affine_grid(torch.eye(2, 3)[None].to(x).expand(len(x), 2, 3), x.shape, align_corners=False),
            align_corners=False,
        ),
        lambda m, x: F.pixel_shuffle(F.pixel_unshuffle(x, 2), 2),
    ]  # fmt: skip
    return nn.Sequential(Does(choose(pick, kinds)), nn.Upsample(size=(8, 8))), c


@block
def masked_in_place(c, pick):
    def forward(m, x):
        x = x * 1
        x[x < 0] = 0.5
        first, second = torch.unsafe_chunk(x, 2, 2)
        return torch.cat([second, first], 2)

    return Does(forward), c


@block
def attended_map(c, pick):
    """Attention over pixels whose result takes its size from the input, which has other channels than the values."""
    heads = pick([1, 2])
    c_in, key = nn.Conv2d(c, 4 * heads, 1), pick([2, 3])

    def forward(m, x):
        x = m.c_in(x)
        n, width, h, w = x.shape
        q, k, v = (f(x).view(n, m.heads, -1, h * w) for f in (m.q, m.k, m.v))
        y = v @ (q.transpose(2, 3) @ k).softmax(-1).transpose(2, 3)
        return m.out(y.view(n, width, h, w) + m.local(v.reshape(n, width, h, w)))

    q, k, v = (nn.Conv2d(4 * heads, n * heads, 1) for n in (key, key, 4))
    out, local = nn.Conv2d(4 * heads, 5, 1), nn.Conv2d(4 * heads, 4 * heads, 3, padding=1, groups=4 * heads)
    return Does(forward, c_in=c_in, q=q, k=k, v=v, out=out, local=local, heads=heads), 5
