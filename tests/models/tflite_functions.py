"""Functions of a map that have a TFLite form, and the layer behind each."""

import copy
import math

import torch
from torch import nn
from torch.nn import functional as F


class Calls(nn.Module):
    """A convolution, a function of its map, and a layer that wants the usual order."""

    def __init__(self, function, last=None, channels=12):
        super().__init__()
        self.first, self.function, self.last = nn.Conv2d(3, channels, 3, padding=1), function, copy.deepcopy(last)
        for m in self.modules():  # drawn under the test's seed, not where FUNCTIONS is read
            if hasattr(m, "reset_parameters"):
                m.reset_parameters()
        self.gain, self.bias = nn.Parameter(torch.rand(channels) + 0.5), nn.Parameter(torch.rand(channels))
        self.row, self.scalar = nn.Parameter(torch.rand(1, channels, 1, 1)), nn.Parameter(torch.rand(1))
        self.affine = nn.InstanceNorm2d(channels, affine=True)
        self.norm, self.group, self.inner = nn.LayerNorm(channels), nn.GroupNorm(3, channels), nn.Linear(channels, 9)

    def forward(self, x):
        x = self.function(self.first(x), self)
        return x if self.last is None else self.last(x)


def shuffle(x, groups):
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


def tokens(x, m):
    n, c, h, w = x.shape
    q = x.reshape(n, 3, c // 3, h * w)
    scores = (q.transpose(-2, -1) @ q * 0.1).softmax(-1)
    return (q @ scores.transpose(-2, -1)).view(n, c, h, w) + x


def window(x, m):
    n, c, h, w = x.shape
    x = x.view(n, c, 3, h // 3, 3, w // 3).permute(0, 2, 4, 3, 5, 1).reshape(9, -1, c)
    return m.inner(x).softmax(-1)


def attention(x, m):
    q = x.flatten(2).transpose(1, 2)
    return (q @ q.transpose(1, 2) * 0.1).softmax(-1) @ q


CONV = nn.Conv2d(12, 5, 1)
FUNCTIONS = {
    "shuffle": (lambda x, m: shuffle(x, 3), CONV),
    "shuffle twice": (lambda x, m: shuffle(shuffle(x, 3), 2), CONV),
    "shuffle and flatten": (lambda x, m: shuffle(x, 4).flatten(1), nn.Linear(12 * 81, 5)),
    "flatten": (lambda x, m: x.flatten(1), nn.Linear(12 * 81, 5)),
    "flatten and join": (lambda x, m: torch.cat([x.flatten(1), x.flatten(1)], 1), nn.Linear(24 * 81, 5)),
    "channels last": (lambda x, m: m.inner(F.gelu(m.norm(x.permute(0, 2, 3, 1)))).permute(0, 3, 1, 2), nn.Conv2d(9, 4, 1)),
    "layer norm over everything": (lambda x, m: F.layer_norm(x, x.shape[1:]), CONV),
    "group norm": (lambda x, m: m.group(x), CONV),
    "split": (lambda x, m: torch.cat([*x.chunk(3, 1)][::-1], 1), CONV),
    "split rows": (lambda x, m: torch.cat([*x.split([2, 3, 4], 2)][::-1], 2), CONV),
    "slices": (lambda x, m: torch.cat([x[:, 1::2], x[:, ::2]], 1)[:, :, 1:-1, ::2], CONV),
    "select": (lambda x, m: x[:, 3] + x.select(1, -1), None),
    "unbind and stack": (lambda x, m: torch.stack(x.unbind(1)[::-1], 1), CONV),
    "stack and sum": (lambda x, m: torch.stack([x, x * 2], 1).sum(1), CONV),
    "mean over channels": (lambda x, m: x * x.mean(1, keepdim=True), CONV),
    "mean over all": (lambda x, m: x.mean((1, 2, 3)), None),
    "mean over rows": (lambda x, m: x.mean(2), None),
    "maximum over channels": (lambda x, m: x * x.amax(1, keepdim=True), CONV),
    "gain": (lambda x, m: x * m.gain[:, None, None] + m.bias.view(1, -1, 1, 1) - m.row, CONV),
    "gain of a row": (lambda x, m: x.mean((2, 3)) * m.gain + m.bias, nn.Linear(12, 5)),
    "a scalar parameter": (lambda x, m: x * m.scalar / 3 + (1 - x) / m.row, CONV),
    "broadcast": (lambda x, m: x.mean(3, keepdim=True) + x.mean(2, keepdim=True), CONV),
    "broadcast a row": (lambda x, m: x * x.mean((2, 3))[:, :, None, None], CONV),
    "expand": (lambda x, m: torch.cat([x, x.mean((2, 3), keepdim=True).expand_as(x)], 1), nn.Conv2d(24, 5, 1)),
    "windows": (window, None),
    "attention": (attention, None),
    "softmax over channels": (lambda x, m: x.softmax(1) * x, CONV),
    "pads": (lambda x, m: F.pad(x, (1, 2, 0, 3, 0, 4)), nn.Conv2d(16, 5, 1)),
    "pads with a value, and cuts": (lambda x, m: F.pad(x, (-1, 2, 1, -2), value=1.0), CONV),
    "mirror": (lambda x, m: F.pad(x, (1, 2, 3, 1), mode="reflect"), CONV),
    "bilinear": (lambda x, m: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False), CONV),
    "bilinear, corners": (lambda x, m: F.interpolate(x, size=(17, 17), mode="bilinear", align_corners=True), CONV),
    "nearest": (lambda x, m: F.interpolate(x, scale_factor=2), CONV),
    "activations": (lambda x, m: F.leaky_relu(x, 0.2) + F.elu(x) * x.tanh() - F.silu(x) * x.sigmoid() + F.hardsigmoid(x), CONV),
    "clamps": (lambda x, m: x.clamp(-0.3, 0.4) + F.hardtanh(x) + x.clamp_min(0.1) + x.clamp(max=0.2) + F.relu6(x * 9), CONV),
    "more": (lambda x, m: torch.rsqrt(x.exp()) + (x.square() - x**2) - (-x) + (2 - x) + torch.maximum(x, x * 2), CONV),
    "views": (lambda x, m: x.view(1, 4, 3, 81).permute(0, 3, 1, 2).reshape(1, 9, 9, 12).permute(0, 3, 1, 2), CONV),
    "a view that cuts": (lambda x, m: x.reshape(1, 27, 36), None),
    "permuted operands": (lambda x, m: x.permute(0, 1, 3, 2) + x, CONV),
    "squeeze": (lambda x, m: F.adaptive_avg_pool2d(x, 1).squeeze(), None),
    "pools": (lambda x, m: F.max_pool2d(x, 3, 2, 1) + F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), CONV),
    "adaptive": (lambda x, m: F.adaptive_max_pool2d(x, 3) + F.adaptive_avg_pool2d(x, 3), CONV),
    "counted padding": (lambda x, m: F.avg_pool2d(x, 3, 2, 1), CONV),
    "a wide stride": (lambda x, m: x, nn.Conv2d(12, 5, 5, 4, 2)),
    "a wide stride, one side": (lambda x, m: x, nn.Conv2d(12, 5, (5, 3), (4, 1), (2, 0))),
    "transposed": (lambda x, m: x, nn.ConvTranspose2d(12, 5, 2, 2)),
    "transposed, larger": (lambda x, m: x, nn.ConvTranspose2d(12, 5, 4, 2, 1)),
    "normalised rows": (lambda x, m: x.mean((2, 3)), nn.Sequential(nn.BatchNorm1d(12), nn.Linear(12, 5))),
    "prelu": (lambda x, m: F.prelu(x, m.gain), CONV),
    "prelu of a line": (lambda x, m: F.prelu(x.flatten(2), m.gain).mean(2), nn.Linear(12, 5)),
    "new_full": (lambda x, m: x * x.new_full((1, 1, 1, 1), 8.0) + x.new_zeros(1, 12, 1, 1) - torch.ones_like(x), CONV),
    "joined zeros": (lambda x, m: torch.cat([x, x.new_zeros(1, 4, 9, 9), x.new_full((1, 2, 9, 9), 0.5)], 1), nn.Conv2d(18, 5, 1)),
    "pixel shuffle": (lambda x, m: F.pixel_shuffle(x, 2), nn.Conv2d(3, 5, 1)),
    "pixel unshuffle": (lambda x, m: F.pixel_unshuffle(x, 3), nn.Conv2d(108, 5, 1)),
    "channel shuffle": (lambda x, m: F.channel_shuffle(x, 4), CONV),
    "convolutions along lines": (lambda x, m: x.flatten(2), nn.Sequential(nn.Conv1d(12, 6, 5, 2, 2), nn.BatchNorm1d(6), nn.ReLU(), nn.Conv1d(6, 4, 3, dilation=2), nn.MaxPool1d(3, 2, 1), nn.AdaptiveAvgPool1d(4), nn.ConvTranspose1d(4, 3, 4, 2, 1), nn.BatchNorm1d(3))),
    "depthwise along lines": (lambda x, m: x.flatten(2), nn.Sequential(nn.Conv1d(12, 12, 3, padding=1, groups=12), nn.AvgPool1d(3, 2, 1), nn.Upsample(scale_factor=2))),
    "padding by name": (lambda x, m: x, nn.Sequential(nn.Conv2d(12, 6, 3, padding="same"), nn.Conv2d(6, 6, 3, padding="same", dilation=2), nn.Conv2d(6, 5, 3, padding="valid"))),
    "mirror, lines": (lambda x, m: F.pad(x.flatten(2), (3, 2), mode="reflect"), nn.Conv1d(12, 5, 1)),
    "edges": (lambda x, m: F.pad(x, (1, 2, 3, 1), mode="replicate"), CONV),
    "edges, lines": (lambda x, m: F.pad(x.flatten(2), (0, 2), mode="replicate"), nn.Conv1d(12, 5, 1)),
    "uneven windows": (lambda x, m: F.adaptive_avg_pool2d(x, (4, 2)), CONV),
    "uneven windows, largest": (lambda x, m: F.adaptive_max_pool2d(x, (2, 5)), CONV),
    "windows that overlap": (lambda x, m: F.adaptive_avg_pool2d(x, 8) + F.adaptive_max_pool2d(x, 8), CONV),
    "more windows than pixels": (lambda x, m: F.adaptive_avg_pool2d(x, (9, 12)), CONV),
    "largest along channels": (lambda x, m: torch.cat([x.max(1, keepdim=True)[0], x.min(1, keepdim=True).values, x.mean(1, keepdim=True)], 1), nn.Conv2d(3, 5, 1)),
    "largest of all": (lambda x, m: x - x.max() + x.min(), CONV),
    "largest of a row": (lambda x, m: x.max(3)[0].unsqueeze(3) + x, CONV),
    "norms": (lambda x, m: F.normalize(x) + x / x.norm(p=1, dim=1, keepdim=True) + x / torch.linalg.vector_norm(x, math.inf, (2, 3), keepdim=True), CONV),
    "norm that drops": (lambda x, m: x.norm(dim=1), None),
    "std_mean": (lambda x, m: torch.add(*torch.std_mean(x, 1, keepdim=True)) * x, CONV),
    "var_mean": (lambda x, m: torch.cat([*torch.var_mean(x, (2, 3))], 1), nn.Linear(24, 5)),
    "std": (lambda x, m: x.std((2, 3)) + x.var((2, 3), unbiased=False), nn.Linear(12, 5)),
    "index_select": (lambda x, m: x.index_select(1, torch.tensor([3, 4, 5, 0, 11])), nn.Conv2d(5, 4, 1)),
    "index": (lambda x, m: x[:, torch.tensor([3, 4, 5, 0, 11])][:, :, torch.arange(8, -1, -1)], nn.Conv2d(5, 4, 1)),
    "flip and roll": (lambda x, m: x.flip(1, 3) + x.roll(2, 1) - x.roll((1, -1), (2, 3)), CONV),
    "many indices": (lambda x, m: x.flatten(2).index_select(2, torch.arange(80, -1, -1)).view(1, 12, 9, 9), CONV),
    "gather": (lambda x, m: x.gather(1, torch.tensor([2, 7]).view(1, 2, 1, 1).expand(1, 2, 9, 9)), nn.Conv2d(2, 4, 1)),
    "unsafe split": (lambda x, m: torch.cat([*torch.unsafe_split(x, 5, 1)][::-1], 1) + torch.cat(torch.unsafe_chunk(x, 2, 1), 1), CONV),
    "attention over a view": (tokens, CONV),
    "instance norm": (lambda x, m: F.instance_norm(x) + m.affine(x), CONV),
    "instance norm, lines": (lambda x, m: F.instance_norm(x.flatten(2)), nn.Conv1d(12, 5, 1)),
    "group norm, lines": (lambda x, m: m.group(x.flatten(2)), nn.Conv1d(12, 5, 1)),
    "batch norm by the input": (lambda x, m: F.batch_norm(x, None, None, m.gain, m.bias, True).relu(), CONV),
    "log_softmax": (lambda x, m: x.mean((2, 3)).log_softmax(1), None),
    "log_softmax over channels": (lambda x, m: x.log_softmax(1), CONV),
    "softplus": (lambda x, m: F.softplus(x * 5) - F.softplus(x, 2) + F.logsigmoid(x * 3), CONV),
    "mish": (lambda x, m: F.mish(x * 4), CONV),
    "elu with factors": (lambda x, m: F.elu(x, 0.3) + F.selu(x) + F.celu(x, 2.0), CONV),
    "hard": (lambda x, m: F.hardswish(x * 3) + F.hardsigmoid(x * 3) + F.hardtanh(x, -0.2, 0.3) + F.relu6(x * 9), CONV),
    "glu": (lambda x, m: F.glu(x, 1), nn.Conv2d(6, 5, 1)),
    "division": (lambda x, m: x / (1 + x.exp()) + x / (x.abs() + 0.5) + (1 / (x**2 + 1)) + torch.reciprocal(x.sigmoid()), CONV),
    "division by less": (lambda x, m: x / (x.abs().sum(1, keepdim=True) + 1) / (m.row + x.abs().amax((2, 3), keepdim=True)), CONV),
    "powers": (lambda x, m: x**3 + (x.abs() + 0.1) ** 1.5 + x.abs().sqrt() + (x.square() + 1) ** -0.5, CONV),
    "generalised mean": (lambda x, m: F.avg_pool2d(x.clamp(min=1e-2).pow(3.5), 9).pow(1 / 3.5), CONV),
    "factors of sums": (lambda x, m: torch.add(x, x * 2, alpha=3) - torch.rsub(x, x.square(), alpha=2) + torch.sub(x, m.row, alpha=2), CONV),
    "clamps to tensors": (lambda x, m: torch.clamp(x, min=x.mean(1, keepdim=True)).clamp(max=m.row), CONV),
    "products": (lambda x, m: (x.flatten(2)[0] @ x.flatten(2)[0].t()).softmax(1)[None] @ x.flatten(2), None),
    "a product with constants": (lambda x, m: x.mean((2, 3)) @ m.inner.weight.t() + x.mean((2, 3)) @ m.inner.weight.t().contiguous(), None),
    "repeat": (lambda x, m: x.repeat(1, 2, 1, 1), nn.Conv2d(24, 5, 1)),
    "nearest, exact": (lambda x, m: F.interpolate(x, size=(13, 18), mode="nearest-exact") + F.interpolate(x, size=(13, 18)), CONV),
    "padded pools": (lambda x, m: F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2, 1) + F.max_pool2d(x[:, :, :8, :8], 2, 2, 1), CONV),
    "padded averages": (lambda x, m: F.avg_pool2d(x[:, :, :8, :8], 3, 2, 1, count_include_pad=False) + F.avg_pool2d(x, 4, 3, 1, ceil_mode=True, count_include_pad=False)[:, :, :1, :1], CONV),
    "averages that reach over": (lambda x, m: F.avg_pool2d(x, 4, 3, 1, ceil_mode=True) + F.avg_pool2d(x, 2, 3, ceil_mode=True).mean((2, 3), keepdim=True), CONV),
    "a divisor": (lambda x, m: F.avg_pool2d(x, 3, 2, divisor_override=5), CONV),
    "transposed, output padding": (lambda x, m: x, nn.ConvTranspose2d(12, 5, 3, 2, 1, output_padding=1)),
    "transposed, odd": (lambda x, m: x, nn.Sequential(nn.ConvTranspose2d(12, 5, 5, 2, 2, output_padding=1), nn.BatchNorm2d(5))),
    "transposed, wide": (lambda x, m: x, nn.ConvTranspose2d(12, 5, 2, 4, 0, output_padding=3)),
    "transposed, cut": (lambda x, m: x, nn.ConvTranspose2d(12, 5, (3, 4), (1, 2), (2, 0), dilation=(2, 1))),
    "transposed, depthwise": (lambda x, m: x, nn.Sequential(nn.ConvTranspose2d(12, 12, 4, 2, 1, groups=12), nn.BatchNorm2d(12))),
    "transposed, groups": (lambda x, m: x, nn.ConvTranspose2d(12, 9, 3, (2, 3), (1, 2), output_padding=1, groups=3)),
}  # fmt: skip
