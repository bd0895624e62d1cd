"""Random networks for the property tests, and small fixed ones."""

import torch
from hypothesis import strategies as st
from torch import Tensor, nn


class Residual(nn.Module):
    def __init__(self, c: int, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(c, hidden, 3, padding=1),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, c, 1),
            nn.BatchNorm2d(c),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class Dense(nn.Module):
    """Concatenates what it makes to what it got, as DenseNet does."""

    def __init__(self, c: int, growth: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(c), nn.Conv2d(c, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(self.norm(x).relu())], 1)


class Branches(nn.Module):
    """Two branches side by side, as Inception's and Fire's."""

    def __init__(self, c: int, a: int, b: int) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(c, a, 1), nn.Conv2d(c, b, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.left(x), self.right(x)], 1).relu_()


class SqueezeExcite(nn.Module):
    def __init__(self, c: int, squeezed: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(c, squeezed, 1), nn.Conv2d(squeezed, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


@st.composite
def networks(draw: st.DrawFn) -> nn.Module:
    """A network of one to six random blocks on 2-channel 8x8 images: residuals, concats, depthwise and grouped convolutions."""
    width = st.integers(2, 12)
    c = draw(width)
    blocks: list[nn.Module] = [nn.Conv2d(2, c, 3, padding=1)]
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(
            st.sampled_from(["conv", "residual", "dense", "branches", "excite", "depthwise", "grouped", "pool"])
        )
        if kind == "conv":
            out = draw(width)
            blocks += [nn.Conv2d(c, out, 3, padding=1, bias=draw(st.booleans())), nn.BatchNorm2d(out), nn.Hardswish()]
            c = out
        elif kind == "residual":
            blocks.append(Residual(c, draw(width)))
        elif kind == "dense":
            growth = draw(width)
            blocks.append(Dense(c, growth))
            c += growth
        elif kind == "branches":
            a, b = draw(width), draw(width)
            blocks.append(Branches(c, a, b))
            c = a + b
        elif kind == "excite":
            blocks.append(SqueezeExcite(c, draw(width)))
        elif kind == "depthwise":
            multiplier = draw(st.integers(1, 2))
            blocks += [nn.Conv2d(c, c * multiplier, 3, padding=1, groups=c), nn.BatchNorm2d(c * multiplier), nn.SiLU()]
            c *= multiplier
        elif kind == "grouped":
            groups = draw(st.integers(2, 3))
            inner, out = groups * draw(st.integers(1, 4)), groups * draw(st.integers(1, 4))
            blocks += [nn.Conv2d(c, inner, 1), nn.Conv2d(inner, out, 3, padding=1, groups=groups), nn.ReLU6()]
            c = out
        else:
            blocks.append(draw(st.sampled_from([nn.MaxPool2d(2, ceil_mode=True), nn.AvgPool2d(3, 1, 1), nn.Dropout()])))
    if draw(st.booleans()):
        blocks += [
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * c, 6),
            nn.BatchNorm1d(6),
            nn.ReLU(),
            nn.Linear(6, 3),
        ]
    else:
        blocks += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 3)]
    return shaken(nn.Sequential(*blocks))


def shaken(model: nn.Module) -> nn.Module:
    """Batch norms with statistics of their own, so that no channel equals another by chance; evaluation mode."""
    for m in model.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(m.weight, 1, 0.3)
            nn.init.normal_(m.bias, 0, 0.3)
            m.running_mean.normal_(0, 0.3)
            m.running_var.uniform_(0.5, 2)
    return model.eval()


class Small(nn.Module):
    """A residual network of aligned widths: 16, then 32 channels, on 3x16x16 images; 4 classes."""

    input_shape = (1, 3, 16, 16)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.block = Residual(16, 24)
        self.down = nn.Conv2d(16, 32, 3, 2, 1)
        self.norm = nn.BatchNorm2d(32)
        self.head = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.down(self.block(self.stem(x).relu()))).relu()
        return self.head(x.mean((2, 3)))


class Nothing(nn.Sequential):
    """Only class outputs: there is nothing to prune."""

    input_shape = (1, 3, 4, 4)

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(48, 4))


def broken() -> nn.Module:
    raise RuntimeError("no such checkpoint")


def no_module() -> int:
    return 3


class Reads(nn.Module):
    """A forward that depends on the values of its tensors."""

    input_shape = (1, 3, 4, 4)

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(3, 4, 1), Peek())

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Peek(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum().item() > 0 else -x


def small() -> nn.Module:
    return shaken(Small())


def tokens() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))


def stays() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 1), nn.GroupNorm(2, 8), nn.Conv2d(8, 4, 1))
