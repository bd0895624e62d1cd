"""Small networks that are trained on the digits."""

import torch
from torch import nn


def network(outputs: int = 10, width: int = 8) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 16, 3, 2, 1), nn.BatchNorm2d(16),
        nn.ReLU(), nn.Flatten(), nn.Dropout(0.1), nn.Linear(256, outputs),
    )  # fmt: skip


def seeded(seed: int = 0, **options) -> nn.Module:
    torch.manual_seed(seed)
    return network(**options)
