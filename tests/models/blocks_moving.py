"""Blocks that move channels, take them apart and join them, as timm, torchvision and YOLO write them."""

import torch
from torch import nn
from torch.nn import functional as F

from models.block_base import Does, after, block, even, fixed

# --- moving channels ------------------------------------------------------------------------------------------------


@block
def shuffle(c, pick):
    def forward(m, x):
        b, c, h, w = x.shape
        return x.view(b, m.groups, c // m.groups, h, w).transpose(1, 2).reshape(b, c, h, w)

    return fixed(forward, c, 6, groups=pick([2, 3]))


@block
def grouped_for_good(c, pick):
    """Groups that a number in the source text holds: each is narrowed."""
    inner = pick([2, 4])
    conv, grouped = nn.Conv2d(c, 4 * inner, 1), nn.Conv2d(4 * inner, 4 * inner, 3, padding=1, groups=4)
    norm = nn.GroupNorm(4, 4 * inner) if pick([0, 1]) else nn.ReLU()

    def forward(m, x):
        n, c, h, w = x.shape
        return x.view(n, 4, c // 4, h, w).sum(1)

    return nn.Sequential(conv, grouped, norm, Does(forward)), inner


@block
def shuffle_module(c, pick):
    conv, c = even(c, 4)
    return after(conv, nn.ChannelShuffle(pick([2, 4]))), c


@block
def shuffle_unit(c, pick):
    conv, c = even(c, 4)
    half = c // 2
    branch = nn.Sequential(
        nn.Conv2d(half, half, 1), nn.Conv2d(half, half, 3, 1, 1, groups=half), nn.Conv2d(half, half, 1)
    )

    def forward(m, x):
        a, b = x.chunk(2, dim=1)
        x = torch.cat((a, m.branch(b)), dim=1)
        n, c, h, w = x.size()
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)

    return after(conv, Does(forward, branch=branch)), c


@block
def flip_roll(c, pick):
    return fixed(lambda m, x: x.flip(1).roll(m.by, 1), c, by=pick([1, 2, -1]))


@block
def permuted(c, pick):
    conv, c = even(c)
    return after(conv, Does(lambda m, x: x[:, m.order] + x.index_select(1, m.order), order=torch.randperm(c))), c


@block
def picked(c, pick):
    conv, c = even(c, 4)
    return after(conv, Does(lambda m, x: torch.cat([x[:, [2, 0]], x], 1))), c + 2


@block
def pixel_shuffle(c, pick):
    conv, c = even(c, 4)
    return after(conv, nn.Sequential(nn.PixelShuffle(2), nn.MaxPool2d(2))), c // 4


@block
def pixel_unshuffle(c, pick):
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Upsample(scale_factor=2)), 4 * c


@block
def space_to_depth(c, pick):
    def forward(m, x):
        n, c, h, w = x.size()
        x = x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).contiguous()
        return F.interpolate(x.view(n, c * 4, h // 2, w // 2), size=(h, w), mode="bilinear")

    return Does(forward), 4 * c


@block
def focus(c, pick):
    def forward(m, x):
        parts = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
        return m.conv(torch.cat(parts, 1)).repeat_interleave(2, 2).repeat_interleave(2, 3)

    return Does(forward, conv=nn.Conv2d(4 * c, 6, 1)), 6


@block
def unfold(c, pick):
    def forward(m, x):
        n, _, h, w = x.shape
        return m.conv(F.unfold(x, 3, padding=1).view(n, -1, h, w))

    return Does(forward, conv=nn.Conv2d(9 * c, 5, 1)), 5


@block
def fold(c, pick):
    conv, c = even(c, 4)
    return after(conv, Does(lambda m, x: F.fold(F.unfold(x, 2), x.shape[-2:], 2))), c


# --- taking apart and joining ---------------------------------------------------------------------------------------


@block
def split_stored(c, pick):
    conv, c = even(c, 3)
    width = c // 3
    return after(
        conv,
        Does(lambda m, x: torch.cat([conv(p) for conv, p in zip(m.convs, torch.split(x, m.width, 1), strict=True)], 1),
             width=width, convs=nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(3))),
    ), c  # fmt: skip


@block
def split_sizes(c, pick):
    conv, c = even(c, 4)
    sizes = [c // 4, c - c // 4]
    convs = nn.ModuleList(nn.Conv2d(s, s, k, 1, k // 2, groups=s) for s, k in zip(sizes, (3, 5), strict=True))

    def forward(m, x):
        return torch.cat([conv(p) for conv, p in zip(m.convs, torch.split(x, m.sizes, 1), strict=True)], 1)

    return after(conv, Does(forward, sizes=sizes, convs=convs)), c


@block
def partial(c, pick):
    conv, c = even(c, 4)
    n = c // 4

    def forward(m, x):
        return torch.cat([m.conv(x[:, : m.n]), x[:, m.n :]], 1)

    return after(conv, Does(forward, n=n, conv=nn.Conv2d(n, n, 3, 1, 1))), c


@block
def literal_slices(c, pick):
    return fixed(lambda m, x: torch.cat([x[:, -2:], x[:, 1:], x[:, :1]], 1), c, 4)[0], max(4, (c + 3) // 4 * 4) + 2


@block
def halves(c, pick):
    def forward(m, x):
        half = x.shape[1] // 2
        return x[:, :half] * x[:, half:].sigmoid() + x[:, ::2]

    module, c = fixed(forward, c)
    return module, c // 2


@block
def sections(c, pick):
    module, c = fixed(lambda m, x: sum(x.tensor_split(2, 1)) + x.unflatten(1, (2, -1)).sum(1), c)
    return module, c // 2


@block
def gated(c, pick):
    module, c = fixed(lambda m, x: F.glu(x, 1), c)
    return module, c // 2


@block
def c2f(c, pick):
    hidden, n = pick([2, 4]), pick([1, 2])

    def forward(m, x):
        y = list(m.cv1(x).chunk(2, 1))
        y.extend(b(y[-1]) + y[-1] for b in m.m)
        return m.cv2(torch.cat(y, 1))

    bottlenecks = nn.ModuleList(nn.Sequential(nn.Conv2d(hidden, hidden, 3, 1, 1), nn.SiLU()) for _ in range(n))
    return Does(forward, cv1=nn.Conv2d(c, 2 * hidden, 1), cv2=nn.Conv2d((2 + n) * hidden, 6, 1), m=bottlenecks), 6


@block
def res2net(c, pick):
    width, scale = pick([2, 3]), 4

    def forward(m, x):
        parts, out = torch.split(m.conv1(x), m.width, 1), []
        y = parts[0]
        for i, conv in enumerate(m.convs):
            y = conv(y if i == 0 else y + parts[i])
            out.append(y)
        return m.conv3(torch.cat([*out, parts[-1]], 1)) + x

    convs = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(scale - 1))
    return Does(
        forward, conv1=nn.Conv2d(c, width * scale, 1), conv3=nn.Conv2d(width * scale, c, 1), convs=convs, width=width
    ), c


@block
def dense(c, pick):
    growth = pick([2, 3, 5])
    return Does(
        lambda m, x: torch.cat([x, m.conv(m.norm(x).relu())], 1),
        norm=nn.BatchNorm2d(c),
        conv=nn.Conv2d(c, growth, 3, 1, 1),
    ), c + growth


@block
def channel_pad(c, pick):
    p = pick([1, 2])
    return Does(
        lambda m, x: m.conv(x) + F.pad(x, (0, 0, 0, 0, m.p, m.p)), conv=nn.Conv2d(c, c + 2 * p, 1), p=p
    ), c + 2 * p


@block
def residual(c, pick):
    hidden = pick([3, 5, 8])
    body = nn.Sequential(nn.Conv2d(c, hidden, 3, 1, 1), nn.BatchNorm2d(hidden), nn.ReLU(), nn.Conv2d(hidden, c, 1))
    return Does(lambda m, x: torch.relu(x + m.body(x)), body=body), c


@block
def branches(c, pick):
    left, right = nn.Conv2d(c, pick([2, 5]), 1), nn.Conv2d(c, pick([3, 4]), 3, padding=1)

    def forward(m, x):
        return torch.cat([m.left(x), m.right(x)], 1).relu_()

    return Does(forward, left=left, right=right), left.out_channels + right.out_channels


@block
def flattened(c, pick):
    def forward(m, x):
        y = m.fc2(torch.relu(m.norm(m.fc1(F.adaptive_avg_pool2d(x, 2).flatten(1)))))
        return x * y.view(-1, x.shape[1], 1, 1)

    return Does(forward, fc1=nn.Linear(4 * c, 6), norm=nn.BatchNorm1d(6), fc2=nn.Linear(6, c)), c
