"""YOLOv8, small: what a detector does to channels."""

import torch
from torch import Tensor, nn


class Conv(nn.Sequential):
    def __init__(self, c: int, out: int, k: int = 1, s: int = 1) -> None:
        super().__init__(nn.Conv2d(c, out, k, s, k // 2, bias=False), nn.BatchNorm2d(out), nn.SiLU())


class Bottleneck(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = Conv(c, c, 3), Conv(c, c, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x))


class C2f(nn.Module):
    def __init__(self, c: int, out: int, n: int = 1) -> None:
        super().__init__()
        self.c = out // 2
        self.cv1, self.cv2 = Conv(c, 2 * self.c), Conv((2 + n) * self.c, out)
        self.m = nn.ModuleList(Bottleneck(self.c) for _ in range(n))

    def forward(self, x: Tensor) -> Tensor:
        y = list(self.cv1(x).split((self.c, self.c), 1))
        y.extend(m(y[-1]) for m in self.m)
        return self.cv2(torch.cat(y, 1))


class SPPF(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.cv1, self.cv2, self.m = Conv(c, c // 2), Conv(c * 2, c), nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = [self.cv1(x)]
        y.extend(self.m(y[-1]) for _ in range(3))
        return self.cv2(torch.cat(y, 1))


class Detect(nn.Module):
    """Three scales; box sides as distributions over bins, whose mean a fixed convolution takes."""

    def __init__(self, classes: int, widths: list[int], bins: int = 8) -> None:
        super().__init__()
        self.nc, self.reg_max, self.no = classes, bins, classes + 4 * bins
        self.cv2 = nn.ModuleList(nn.Sequential(Conv(w, 16, 3), nn.Conv2d(16, 4 * bins, 1)) for w in widths)
        self.cv3 = nn.ModuleList(nn.Sequential(Conv(w, 16, 3), nn.Conv2d(16, classes, 1)) for w in widths)
        self.dfl = nn.Conv2d(bins, 1, 1, bias=False).requires_grad_(False)
        self.dfl.weight.data[:] = torch.arange(bins, dtype=torch.float).view(1, bins, 1, 1)

    def forward(self, x: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        x = [torch.cat((box(f), score(f)), 1) for f, box, score in zip(x, self.cv2, self.cv3, strict=True)]
        anchors = torch.cat([self.grid(f) for f in x], 1)
        flat = torch.cat([f.view(f.shape[0], self.no, -1) for f in x], 2)
        box, score = flat.split((self.reg_max * 4, self.nc), 1)
        b, _, a = box.shape
        sides = self.dfl(box.view(b, 4, self.reg_max, a).transpose(2, 1).softmax(1)).view(b, 4, a)
        low, high = sides.chunk(2, 1)
        return torch.cat((anchors - low, anchors + high, score.sigmoid()), 1), x

    def grid(self, f: Tensor) -> Tensor:
        rows, columns = (torch.arange(n, device=f.device, dtype=f.dtype) + 0.5 for n in f.shape[-2:])
        return torch.stack(torch.meshgrid(columns, rows, indexing="xy")).view(2, -1)


class Pyramid(nn.Module):
    """A backbone, a top-down and a bottom-up neck, and heads, of whatever blocks."""

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        p3 = self.p3(self.stem(x))
        p4 = self.p4(p3)
        p5 = self.p5(p4)
        n4 = self.top4(torch.cat((self.up(p5), p4), 1))
        n3 = self.top3(torch.cat((self.up(n4), p3), 1))
        n4 = self.bottom4(torch.cat((self.down3(n3), n4), 1))
        n5 = self.bottom5(torch.cat((self.down4(n4), p5), 1))
        return self.detect([n3, n4, n5])


class Yolo(Pyramid):
    """A small YOLOv8: backbone, top-down and bottom-up neck, three heads."""

    def __init__(self, w: int = 16, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(Conv(3, w, 3, 2), Conv(w, 2 * w, 3, 2), C2f(2 * w, 2 * w))
        self.p3, self.p4 = (nn.Sequential(Conv(c, 2 * c, 3, 2), C2f(2 * c, 2 * c, 2)) for c in (2 * w, 4 * w))
        self.p5 = nn.Sequential(Conv(8 * w, 16 * w, 3, 2), C2f(16 * w, 16 * w), SPPF(16 * w))
        self.up, self.top4, self.top3 = nn.Upsample(scale_factor=2), C2f(24 * w, 8 * w), C2f(12 * w, 4 * w)
        self.down3, self.bottom4 = Conv(4 * w, 4 * w, 3, 2), C2f(12 * w, 8 * w)
        self.down4, self.bottom5 = Conv(8 * w, 8 * w, 3, 2), C2f(24 * w, 16 * w)
        self.detect = Detect(classes, [4 * w, 8 * w, 16 * w])
