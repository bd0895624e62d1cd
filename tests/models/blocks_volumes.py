"""Blocks of video and volumes: maps with frames beside rows and columns."""

from torch import nn
from torch.nn import functional as F

from models.block_base import Does, block


def framed(parts: nn.Module) -> nn.Module:
    """Columns taken for two frames of four columns: [N, c, 8, 8] -> [N, c, 8, 2, 4] and back."""
    return Does(lambda m, x: m.parts(x.unflatten(3, (2, 4))).flatten(3), parts=parts)


@block
def volume(c, pick):
    out = pick([3, 6])
    parts = [nn.Conv3d(c, out, (3, 1, 3), padding=(1, 0, 1)), nn.BatchNorm3d(out), nn.ReLU(), nn.MaxPool3d(3, 1, 1)]
    return framed(nn.Sequential(*parts, nn.ReplicationPad3d(1), nn.AvgPool3d(3, 1))), out


@block
def volume_groups(c, pick):
    groups = pick([2, 3])
    inner, out = groups * pick([1, 2]), groups * pick([1, 3])
    return framed(nn.Sequential(nn.Conv3d(c, inner, 1), nn.Conv3d(inner, out, 3, padding=1, groups=groups))), out


@block
def volume_depthwise(c, pick):
    return framed(nn.Sequential(nn.Conv3d(c, c, 3, padding=1, groups=c), nn.InstanceNorm3d(c, affine=True))), c


@block
def volume_transposed(c, pick):
    out = pick([3, 6])
    parts = nn.Sequential(nn.ConvTranspose3d(c, out, 2, 2), nn.Hardswish(), nn.AdaptiveAvgPool3d((8, 2, 4)))
    return framed(parts), out


@block
def volume_gate(c, pick):
    def forward(m, x):
        frames = x.unflatten(3, (2, 4))
        return (frames * m.fc(F.adaptive_max_pool3d(frames, 1)).sigmoid()).flatten(3)

    return Does(forward, fc=nn.Conv3d(c, c, 1)), c
