"""A network whose layers each read all before them."""

import torch
from torch import nn


class Dense(nn.Module):
    """Three layers that each read all before them, a transition, a depthwise and a grouped layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(24 + 16 * i, 16, 3, padding=1) for i in range(3))
        self.join = nn.Conv2d(72, 32, 1)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.grouped = nn.Conv2d(32, 32, 3, padding=1, groups=2)
        self.head = nn.Linear(32 * 16, 5)

    def forward(self, x):
        x = self.stem(x).relu()
        for layer in self.layers:
            x = torch.cat([x, layer(x).relu()], 1)
        x = self.grouped(self.depthwise(self.join(x))).relu()
        return self.head(nn.functional.adaptive_avg_pool2d(x, 4).flatten(1))
