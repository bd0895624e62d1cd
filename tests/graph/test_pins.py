"""What has no exact cut stays, and says why."""

import dataclasses
import types

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from padless import trace
from padless.errors import TraceError


def pins(model: nn.Module, *shape: int) -> dict[str, str | None]:
    return {g.id: g.pinned for g in trace(model, torch.zeros(shape)).groups}


class Ask(nn.Module):
    """A convolution, then something odd, then a convolution."""

    def __init__(self, odd):
        super().__init__()
        self.a, self.b, self.odd = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1), odd
        self.square = nn.Parameter(torch.ones(8, 8))
        self.rows = nn.Parameter(torch.ones(1, 1, 4, 1))
        self.filters = nn.Parameter(torch.ones(8, 1, 1, 1))
        self.compiled = torch.jit.script(nn.Conv2d(8, 8, 1))

    def forward(self, x):
        return self.b(self.odd(self, self.a(x)))


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (lambda m, x: x.softmax(1), "aten._softmax works along the channels"),
        (lambda m, x: x.cumsum(1), "aten.cumsum works along the channels"),
        (lambda m, x: x.flatten(1).cumsum(1).view(1, 8, 4, 4), "aten.cumsum works along the channels"),
        (lambda m, x: x.argmax(1, keepdim=True).float() + x, "aten.argmax works along the channels"),
        (lambda m, x: x.argmax() + x, "aten.argmax works along the channels"),
        (lambda m, x: x - x.median(1, keepdim=True)[0], "aten.median works along the channels"),
        (lambda m, x: x - x.median(), "aten.median works along the channels"),
        (lambda m, x: torch.zeros_like(x).scatter(1, x.argmax(1, keepdim=True), 1.0) + x, "aten.argmax works along the channels"),
        (lambda m, x: torch.zeros(1, 8, 4, 4).scatter_add(1, torch.zeros(1, 8, 4, 4).long(), x), "aten.scatter_add reads elements by their positions"),
        (lambda m, x: x.gather(2, torch.zeros(1, 8, 1, 4).long()), "aten.gather meets positions of another number"),
        (lambda m, x: x.clone().index_put((torch.tensor([0]),), x[0, 0, 0, 0]), "aten.index_put writes elements by their positions"),
        (lambda m, x: x.clone().masked_scatter(x > 0, x), "aten.masked_scatter has no rule"),
        (lambda m, x: x.clone().index_put((torch.ones(1, 8, 4, 4) > 0,), torch.zeros(())), "aten.index_put has a mask of fixed size"),
        (lambda m, x: torch.bucketize(x, m.square[0] * x[0, :, 0, 0]) + x, "aten.bucketize counts them"),
        (lambda m, x: torch.fft.fft(x, dim=1).real, "aten._fft_r2c works along the channels"),
        (lambda m, x: x.unfold(1, 2, 2).flatten(1).sum() + x, "aten.unfold works along the channels"),
        (lambda m, x: x.transpose(1, 2).triu().transpose(1, 2), "aten.triu tells places along the channels apart"),
        (lambda m, x: x.diagonal(dim1=1, dim2=2).sum() + x, "aten.diagonal works along the channels"),
        (lambda m, x: x + F.affine_grid(x[:, :, :2, :3].flatten(0, 1)[:8], (8, 1, 4, 4), align_corners=False).mean(), "aten.affine_grid_generator makes positions of them"),
        (lambda m, x: F.max_unpool2d(*F.max_pool2d(x.transpose(1, 2), (2, 1), return_indices=True), (2, 1)).transpose(1, 2), "aten.max_pool2d_with_indices works along a channel axis"),
        (lambda m, x: F.max_unpool2d(x, torch.zeros(1, 8, 4, 4).long(), 1), "aten.max_unpool2d meets positions of fixed number"),
        (lambda m, x: x + torch.dot(x[0, :, 0, 0], torch.ones(8)), "aten.dot contracts with a tensor of fixed size"),
        (lambda m, x: x + torch.cdist(x.flatten(2), x.flatten(2)).mean(), "compares them"),
        (lambda m, x: x + torch.cdist(x.flatten(2).mT.repeat(1, 2, 1), x.new_ones(1, 30, 8)).mean(), "compares with a tensor of fixed size"),
        (lambda m, x: x.max(1, keepdim=True)[1].float() + x, "aten.max gives positions of channels"),
        (lambda m, x: x.sort(1)[0], "aten.sort works along the channels"),
        (lambda m, x: x.view(1, 2, 4, 4, 4).flatten(1, 2), "aten.view splits the channel axis by sizes in the source text"),
        (lambda m, x: x.view(1, 8, 16).view(x.shape), "the size given to aten.view is a fixed number"),
        (lambda m, x: x + torch.ones(8, 1, 1), "aten.add meets a tensor of fixed size"),
        (lambda m, x: x / x.shape[1], "aten.div is given their number"),
        (lambda m, x: x + x.new_full((1,), x.shape[1]), "aten.new_full is given their number"),
        (lambda m, x: x + torch.full_like(x, x.shape[1]), "aten.full_like is given their number"),
        (lambda m, x: x + x.new_ones(8, 1, 1), "aten.add meets a tensor of fixed size"),
        (lambda m, x: x + torch.arange(x.shape[1])[:, None, None], "aten.arange is given their number"),
        (lambda m, x: x + x.new_zeros(1, 2 * x.shape[1], 4, 4).sum(1, keepdim=True), "is taken from an axis with other channels"),
        (lambda m, x: F.conv2d(x, torch.ones(8, 8, 1, 1)), "aten.convolution has a weight that is no parameter"),
        (lambda m, x: F.conv2d(x, m.filters, groups=8), "the input of filters is fixed"),
        (lambda m, x: F.batch_norm(x, torch.zeros(8), torch.ones(8)), "aten.native_batch_norm has statistics of fixed size"),
        (lambda m, x: F.layer_norm(x.transpose(1, 3), (8,)).transpose(1, 3), "the size given to aten.native_layer_norm is a fixed number"),
        (lambda m, x: x.view(0, 8, 4, 4)[:0].sum() + x if x.numel() == 0 else x[:0].view(0, 8, 16).sum() + x, "has no rule"),
        (lambda m, x: (m.rows * x.mean((2, 3), keepdim=True)).flatten(1).sum() + x, "aten.view merges two channel axes"),
        (lambda m, x: F.avg_pool2d(x.transpose(1, 3), 1).transpose(1, 3), "aten.avg_pool2d works along a channel axis"),
        (lambda m, x: F.conv_transpose2d(x, torch.ones(8, 8, 1, 1)), "aten.convolution has a weight that is no parameter"),
        (lambda m, x: F.pad(x, (0, 0, 0, 0, 1, -1)), "aten.constant_pad_nd"),
        (lambda m, x: F.max_pool2d(x.flatten(2), 1).view(1, 8, 4, 4), "aten.max_pool2d_with_indices works along a channel axis"),
        (lambda m, x: F.conv3d(x[:, :, None], torch.ones(8, 8, 1, 1, 1))[:, :, 0], "aten.convolution has a weight that is no parameter"),
        (lambda m, x: torch.cat([x.transpose(1, 2), torch.ones(1, 1, 8, 4)], 1)[:, :4].transpose(1, 2), "joins a part of fixed size"),
        (lambda m, x: F.conv2d(x.transpose(1, 2), torch.ones(4, 4, 1, 1)).transpose(1, 2), "runs along the channels"),
        (lambda m, x: torch.cat(x.split([3, 5], 1)[::-1], 1), "the size given to aten.split_with_sizes is a fixed number"),
        (lambda m, x: torch.cat(x.chunk(3, 1)[::-1], 1), "makes unequal parts"),
        (lambda m, x: torch.cat([x[:, -3:], x[:, :-3]], 1), "a bound of aten.slice is a fixed number"),
        (lambda m, x: torch.cat([x[:, ::3]] * 3, 1)[:, :8], "takes every 3th of a number of channels"),
        (lambda m, x: x + x[:, 7:8], "a bound of aten.slice is a fixed number"),
        (lambda m, x: x + x.select(1, 7)[:, None], "aten.select takes channels by their number"),
        (lambda m, x: sum(x.unbind(1))[:, None] + x, "aten.unbind takes channels by their number"),
        (lambda m, x: x.roll(7, 1), "aten.roll moves a fixed number of channels"),
        (lambda m, x: x.roll(1), "aten.roll has no rule"),
        (lambda m, x: x[:, [7, 6, 5, 4, 3, 2, 1, 0]], "aten.index reads channels by fixed positions"),
        (lambda m, x: x[:, x.flatten()[:8].long()], "aten.index reads channels by positions that are computed"),
        (lambda m, x: x + x.flatten()[m.square.flatten()[:1].long()], "reads"),
        (lambda m, x: x.gather(1, torch.zeros(1, 8, 4, 4).long()), "aten.gather reads elements by their positions"),
        (lambda m, x: x.as_strided((1, 8, 4, 4), (128, 1, 8, 32)), "aten.as_strided has no rule"),
        (lambda m, x: x + F.grid_sample(torch.ones(1, 1, 4, 4), x.permute(0, 2, 3, 1)[..., ::4], align_corners=True), "aten.grid_sampler_2d reads positions"),
        (lambda m, x: F.scaled_dot_product_attention(*[x.flatten(2).transpose(1, 2)] * 3).transpose(1, 2).view(x.shape), "attention is scaled by their number"),
        (lambda m, x: torch.baddbmm(torch.ones(1, 8, 8), x.flatten(2), x.flatten(2).transpose(1, 2)).sum() + x, "has an addend of fixed size"),
        (lambda m, x: torch.bmm(x.flatten(0, 1), torch.ones(8, 4, 4)).view(x.shape), "aten.bmm has a batch of fixed size"),
        (lambda m, x: x.mean((1, 2, 3)).view(1, 1, 1, 1).expand(1, x.shape[1] - 2, 4, 4).sum() + x, "aten.expand is given a number worked out from theirs"),
        (lambda m, x: x.repeat(1, x.shape[1] // 8, 1, 1), "aten.repeat is given their number"),
        (lambda m, x: torch.ones(1, 2, 4, 4).view(1, 2, 16).repeat(1, x.shape[1], 1).sum() + x, "aten.repeat is given their number"),
        (lambda m, x: torch.rot90(x, 1, (1, 2)).transpose(1, 2), "aten.rot90 turns the channels"),
        (lambda m, x: m.compiled(x), "belongs to a compiled module"),
        (lambda m, x: x.view(1, x.shape[2] * 2, 4, 4), "the size given to aten.view is that of an axis of fixed size"),
    ],
)  # fmt: skip
def test_what_has_no_exact_cut_stays_and_says_why(odd, reason):
    found = pins(Ask(odd), 1, 3, 4, 4)
    reasons = {v for k, v in found.items() if k.split("/")[0] == "a"}
    assert any(reason in (r or "") for r in reasons), found


def test_tensors_in_objects():
    @dataclasses.dataclass
    class Out:
        feature: torch.Tensor

    class Net(nn.Module):
        def __init__(self, wrap):
            super().__init__()
            self.a, self.b, self.wrap = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1), wrap

        def forward(self, x):
            y = self.a(x)
            return self.b(y), self.wrap(y)

    assert pins(Net(Out), 1, 3, 4, 4)["a"] == "output of the network"
    with pytest.raises(TraceError, match="returned a SimpleNamespace, in which tensors may hide"):
        pins(Net(lambda y: types.SimpleNamespace(y=y)), 1, 3, 4, 4)


def test_a_list_that_starts_with_an_empty_tensor():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x):
            return self.b(torch.cat([torch.tensor([]), self.a(x)], 1))

    assert pins(Net(), 1, 3, 4, 4)["a"] is None


def test_outputs_of_any_form_are_pinned():
    class Many(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x):
            y = self.a(x)
            return {"features": [y], "logits": (self.b(y),)}

    assert pins(Many(), 1, 3, 4, 4) == {"a": "output of the network", "b": "output of the network"}
