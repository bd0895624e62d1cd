"""Blocks of video and volumes, with frames beside rows and columns, and of sequences."""

from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

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


@block
def recurrent(c, pick):
    """Rows read from left to right: [N, c, 8, 8] -> [N, out, 8, 8]."""
    kind, ways = [nn.LSTM, nn.GRU, nn.RNN][pick([0, 1, 2])], pick([1, 2])
    read = kind(c, 3, num_layers=pick([1, 2]), bidirectional=ways == 2, batch_first=True)

    def forward(m, x):
        y = m.read(x.mean(2).transpose(1, 2))[0]
        return y.transpose(1, 2)[:, :, None].expand(-1, -1, 8, -1)

    return Does(forward, read=read), 3 * ways


@block
def recurrent_packed(c, pick):
    def forward(m, x):
        n = x.shape[0]
        packed = pack_padded_sequence(x.mean(2).permute(2, 0, 1), [8, 5][:n], enforce_sorted=False)
        y = pad_packed_sequence(m.read(packed)[0])[0].permute(1, 2, 0)
        return y[:, :, None].repeat(1, 1, 8, 1)

    return Does(forward, read=nn.GRU(c, 4)), 4


@block
def recurrent_cell(c, pick):
    kind = [nn.LSTMCell, nn.GRUCell, nn.RNNCell][pick([0, 1, 2])]

    def forward(m, x):
        state = m.cell(x.mean((2, 3)))
        return x * m.gate(state[0] if isinstance(state, tuple) else state)[:, :, None, None].sigmoid()

    return Does(forward, cell=kind(c, 3), gate=nn.Linear(3, c)), c
