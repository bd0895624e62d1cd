"""Small networks for the tests."""

import torch
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


class SqueezeExcite(nn.Module):
    def __init__(self, c: int, squeezed: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(c, squeezed, 1), nn.Conv2d(squeezed, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


def shaken(model: nn.Module) -> nn.Module:
    """Batch norms with statistics of their own, so that no channel equals another by chance; evaluation mode."""
    for m in model.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            if m.weight is not None:
                nn.init.normal_(m.weight, 1, 0.3)
            if m.bias is not None:
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


class Unlowered(Small):
    """One with an operator that has no TFLite form, and some that have one."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.nn.functional.avg_pool2d(torch.erf(x), 1) + x)


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


def volumes() -> nn.Module:
    return nn.Sequential(nn.Conv3d(3, 8, 1), nn.ReLU(), nn.Conv3d(8, 4, 1))


def stays() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 1), nn.Softmax(1), nn.Conv2d(8, 4, 1))


class Conditioned(nn.Module):
    """An image, and a dictionary with a class number and a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.classes = nn.Conv2d(3, 16, 3, padding=1), nn.Embedding(4, 16)
        self.body, self.head = nn.Conv2d(16, 32, 3), nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor, more: dict[str, Tensor]) -> Tensor:
        y = self.stem(x) + self.classes(more["class"])[:, :, None, None]
        return self.head(self.body(y.masked_fill(~more["mask"], 0.0)).relu())


class Two(nn.Module):
    """Two outputs: a map 12 channels wide, and one of 4 behind it."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 4, 1)

    def forward(self, x):
        y = self.first(x).relu()
        return y, self.second(y)
