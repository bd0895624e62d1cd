"""Networks that exporters write in many ways: attention, recurrent layers, parts and joins."""

import torch
from torch import nn


class Attention(nn.Module):
    """Tokens of patches, attention and a layer norm, as transformers have them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 32, 4, 4), nn.LayerNorm(32)
        self.mix, self.head = nn.MultiheadAttention(32, 4, batch_first=True), nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.stem(x).flatten(2).transpose(1, 2)
        y = self.norm(tokens)
        return self.head((tokens + self.mix(y, y, y, need_weights=False)[0]).mean(1))


class Reader(nn.Module):
    """Convolutions and a recurrent layer in both directions over the columns."""

    def __init__(self, layer: type[nn.RNNBase]) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2))
        self.read, self.head = layer(24 * 4, 16, bidirectional=True), nn.Linear(32, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.read(self.stem(x).flatten(1, 2).permute(2, 0, 1))[0])


class Gated(nn.Module):
    """Parts by chunk, depthwise layers, squeeze-and-excitation, resizing and joins."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.deep = nn.Conv2d(3, 32, 3, 2, 1), nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 8, 1), nn.Hardswish(), nn.Conv2d(8, 16, 1))
        self.join, self.head = nn.Conv2d(32, 24, 1), nn.Conv2d(24, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.stem(x).chunk(2, 1)
        b = self.deep(b)
        b = b * torch.sigmoid(self.gate(b))
        y = torch.cat((a, b), 1).permute(0, 2, 3, 1).permute(0, 3, 1, 2)
        y = nn.functional.interpolate(self.join(y), scale_factor=2.0, mode="nearest")
        return self.head(nn.functional.gelu(y))
