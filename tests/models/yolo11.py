"""YOLO11, small: what it has beside YOLOv8, namely smaller blocks within blocks, attention, and depthwise heads."""

import torch
from torch import Tensor, nn

from models.yolo import SPPF, Bottleneck, Conv, Detect, Pyramid


def linear_conv(c: int, out: int, k: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution and its norm, without an activation."""
    return nn.Sequential(nn.Conv2d(c, out, k, 1, k // 2, groups=groups, bias=False), nn.BatchNorm2d(out))


class C3k(nn.Module):
    """Two bottlenecks beside a shortcut."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.cv1, self.cv2, self.cv3 = Conv(c, c // 2), Conv(c, c // 2), Conv(c, c)
        self.m = nn.Sequential(Bottleneck(c // 2), Bottleneck(c // 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


class C3k2(nn.Module):
    def __init__(self, c: int, out: int, deep: bool) -> None:
        super().__init__()
        self.c = out // 2
        self.cv1, self.cv2 = Conv(c, 2 * self.c), Conv(3 * self.c, out)
        self.m = C3k(self.c) if deep else Bottleneck(self.c)

    def forward(self, x: Tensor) -> Tensor:
        y = list(self.cv1(x).chunk(2, 1))
        return self.cv2(torch.cat((*y, self.m(y[-1])), 1))


class Attention(nn.Module):
    """Every position looks at every other one; keys are half as wide as values, whose depthwise layer says where they lie."""

    def __init__(self, c: int, heads: int) -> None:
        super().__init__()
        self.heads, self.value = heads, c // heads
        self.key = self.value // 2
        self.qkv, self.proj = linear_conv(c, c + 2 * heads * self.key), linear_conv(c, c)
        self.pe = linear_conv(c, c, 3, c)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        parts = self.qkv(x).view(b, self.heads, 2 * self.key + self.value, h * w)
        q, k, v = parts.split((self.key, self.key, self.value), 2)
        attention = ((q.transpose(-2, -1) @ k) * self.key**-0.5).softmax(-1)
        y = (v @ attention.transpose(-2, -1)).view(b, c, h, w) + self.pe(v.reshape(b, c, h, w))
        return self.proj(y)


class C2PSA(nn.Module):
    """Attention and two linear layers on half of the channels."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.c = c // 2
        self.cv1, self.cv2, self.attention = Conv(c, c), Conv(c, c), Attention(self.c, 2)
        self.ffn = nn.Sequential(Conv(self.c, 2 * self.c), linear_conv(2 * self.c, self.c))

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.cv1(x).split((self.c, self.c), 1)
        b = b + self.attention(b)
        return self.cv2(torch.cat((a, b + self.ffn(b)), 1))


class Detect11(Detect):
    """Boxes from plain, scores from depthwise convolutions."""

    def __init__(self, classes: int, widths: list[int]) -> None:
        super().__init__(classes, widths)
        self.cv3 = nn.ModuleList(
            nn.Sequential(_depthwise(w), Conv(w, 16), _depthwise(16), Conv(16, 16), nn.Conv2d(16, classes, 1))
            for w in widths
        )


def _depthwise(c: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c, c, 3, 1, 1, groups=c, bias=False), nn.BatchNorm2d(c), nn.SiLU())


class Yolo11(Pyramid):
    """A small YOLO11: backbone, top-down and bottom-up neck, three heads."""

    def __init__(self, w: int = 16, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(Conv(3, w, 3, 2), Conv(w, 2 * w, 3, 2), C3k2(2 * w, 4 * w, False))
        self.p3 = nn.Sequential(Conv(4 * w, 4 * w, 3, 2), C3k2(4 * w, 8 * w, False))
        self.p4 = nn.Sequential(Conv(8 * w, 8 * w, 3, 2), C3k2(8 * w, 8 * w, True))
        self.p5 = nn.Sequential(
            Conv(8 * w, 16 * w, 3, 2), C3k2(16 * w, 16 * w, True), SPPF(16 * w), C2PSA(16 * w)
        )  # fmt: skip
        self.up, self.top4, self.top3 = (
            nn.Upsample(scale_factor=2),
            C3k2(24 * w, 8 * w, False),
            C3k2(16 * w, 4 * w, False),
        )
        self.down3, self.bottom4 = Conv(4 * w, 4 * w, 3, 2), C3k2(12 * w, 8 * w, False)
        self.down4, self.bottom5 = Conv(8 * w, 8 * w, 3, 2), C3k2(24 * w, 16 * w, True)
        self.detect = Detect11(classes, [4 * w, 8 * w, 16 * w])
