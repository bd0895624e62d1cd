"""Blocks with attention, gates, norms and convolutions of every kind, as timm, torchvision and YOLO write them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from models.block_base import Does, after, block, even, fixed, parameter

# --- attention and gates --------------------------------------------------------------------------------------------


@block
def excite(c, pick):
    r = pick([1, 2, 4])

    def forward(m, x):
        return x * m.up(F.relu(m.down(x.mean((2, 3), keepdim=True)))).sigmoid()

    return Does(forward, down=nn.Conv2d(c, r, 1), up=nn.Conv2d(r, c, 1)), c


@block
def excite_linear(c, pick):
    def forward(m, x):
        b, c, _, _ = x.size()
        y = m.fc(F.adaptive_avg_pool2d(x, 1).view(b, c)).view(b, c, 1, 1)
        return x * y.expand_as(x)

    return Does(forward, fc=nn.Sequential(nn.Linear(c, 3), nn.ReLU(), nn.Linear(3, c), nn.Sigmoid())), c


@block
def eca(c, pick):
    def forward(m, x):
        y = m.conv(x.mean((2, 3)).view(x.shape[0], 1, -1))
        return x * y.view(x.shape[0], -1, 1, 1).sigmoid()

    return Does(forward, conv=nn.Conv1d(1, 1, 3, padding=1)), c


@block
def cbam(c, pick):
    def forward(m, x):
        return (
            x
            * m.conv(
                torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True), x.max(1, keepdim=True)[0]], 1)
            ).sigmoid()
        )

    return Does(forward, conv=nn.Conv2d(3, 1, 3, padding=1)), c


@block
def gather_excite(c, pick):
    return Does(
        lambda m, x: x * F.interpolate(m.conv(x), size=x.shape[-2:]).sigmoid(), conv=nn.Conv2d(c, c, 3, 2, 1, groups=c)
    ), c


@block
def selective(c, pick):
    def forward(m, x):
        x = torch.stack([conv(x) for conv in m.convs], 1)
        y = m.up(m.down(x.sum(1).mean((2, 3), keepdim=True)))
        b, _, h, w = y.shape
        y = torch.softmax(y.view(b, m.paths, y.shape[1] // m.paths, h, w), 1)
        return (x * y).sum(1)

    out = pick([4, 6])
    convs = nn.ModuleList(nn.Conv2d(c, out, k, 1, k // 2) for k in (1, 3))
    return Does(forward, convs=convs, down=nn.Conv2d(out, 3, 1), up=nn.Conv2d(3, 2 * out, 1), paths=2), out


@block
def split_attention(c, pick):
    out, radix = pick([4, 6]), 2

    def forward(m, x):
        x = m.conv(x)
        b, rc, h, w = x.shape
        x = x.reshape(b, m.radix, rc // m.radix, h, w)
        y = m.fc2(m.fc1(x.sum(1).mean((2, 3), keepdim=True)))
        y = F.softmax(y.view(b, 1, m.radix, -1).transpose(1, 2), 1).reshape(b, -1, 1, 1)
        return (x * y.reshape(b, m.radix, rc // m.radix, 1, 1)).sum(1).contiguous()

    conv = nn.Sequential(nn.Conv2d(c, 4, 1), nn.Conv2d(4, out * radix, 3, 1, 1, groups=2))
    return Does(forward, conv=conv, fc1=nn.Conv2d(out, 3, 1), fc2=nn.Conv2d(3, out * radix, 1), radix=radix), out


@block
def non_local(c, pick):
    inner = pick([2, 4])

    def forward(m, x):
        b, _, h, w = x.shape
        q, k, v = m.q(x).view(b, -1, h * w), m.k(x).flatten(2), m.v(x).flatten(2)
        y = torch.bmm(v, torch.bmm(q.transpose(1, 2), k).softmax(-1).transpose(1, 2))
        return x + m.out(y.reshape(b, -1, h, w))

    return Does(
        forward, q=nn.Conv2d(c, inner, 1), k=nn.Conv2d(c, inner, 1), v=nn.Conv2d(c, 3, 1), out=nn.Conv2d(3, c, 1)
    ), c


@block
def self_attention(c, pick):
    conv, c = even(c, 4)
    explicit = bool(pick([0, 1]))

    def forward(m, x):
        n, c, h, w = x.shape
        t = x.flatten(2).transpose(1, 2)
        q, k, v = m.qkv(t).reshape(n, h * w, 3, m.heads, c // m.heads).permute(2, 0, 3, 1, 4).unbind(0)
        by_hand = (q * m.scale @ k.transpose(-2, -1)).softmax(-1) @ v
        t = by_hand if m.explicit else F.scaled_dot_product_attention(q, k, v)
        return m.proj(t.transpose(1, 2).reshape(n, h * w, c)).transpose(1, 2).view(n, c, h, w)

    return after(
        conv,
        Does(forward, qkv=nn.Linear(c, 3 * c), proj=nn.Linear(c, c), heads=pick([1, 2]), scale=0.5, explicit=explicit),
    ), c


# --- norms ----------------------------------------------------------------------------------------------------------


@block
def group_norm(c, pick):
    conv, c = even(c, 12)
    return after(conv, nn.GroupNorm(pick([1, 2, 3, 4, 6, 12]), c)), c


@block
def layer_norm(c, pick):
    def forward(m, x):
        return m.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    return Does(forward, norm=nn.LayerNorm(c)), c


@block
def convnext(c, pick):
    hidden = pick([3, 8])

    def forward(m, x):
        y = m.norm(m.dw(x).permute(0, 2, 3, 1))
        y = F.gelu(m.fc1(y))
        y = m.fc2(y + (y / (y.norm(dim=(1, 2), keepdim=True).mean(-1, keepdim=True) + 1)) * m.beta)
        return x + (m.gamma * y).permute(0, 3, 1, 2)

    return Does(forward, dw=nn.Conv2d(c, c, 3, 1, 1, groups=c), norm=nn.LayerNorm(c), fc1=nn.Linear(c, hidden),
                fc2=nn.Linear(hidden, c), beta=parameter(hidden), gamma=parameter(c)), c  # fmt: skip


@block
def global_response(c, pick):
    def forward(m, x):
        g = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)
        return x + torch.addcmul(m.beta, m.gamma, x * (g / (g.mean(1, keepdim=True) + 1e-6)))

    return Does(forward, gamma=parameter(1, c, 1, 1), beta=parameter(1, c, 1, 1)), c


@block
def root_mean_square(c, pick):
    def forward(m, x):
        return m.norm(F.normalize(x, dim=1).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    return Does(forward, norm=nn.RMSNorm(c)), c


@block
def instance_norm(c, pick):
    return nn.InstanceNorm2d(c, affine=bool(pick([0, 1]))), c


@block
def batch_norm(c, pick):
    return nn.BatchNorm2d(c, affine=bool(pick([0, 1]))), c


@block
def local_response(c, pick):
    return nn.LocalResponseNorm(3), c


@block
def variance(c, pick):
    def forward(m, x):
        std, mean = torch.std_mean(x, 1, keepdim=True, correction=0)
        return (x - mean) / (std + 1) * m.scale + x.var(1, keepdim=True, correction=0)

    return fixed(forward, c, 8, scale=2.0)


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        weight = F.batch_norm(
            self.weight.reshape(1, self.out_channels, -1), None, None, training=True, momentum=0.0, eps=1e-6
        ).reshape_as(self.weight)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ScaledStandardised(nn.Conv2d):
    def __init__(self, *args: int, **more: int) -> None:
        super().__init__(*args, **more)
        self.gain = parameter(self.out_channels, 1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        std, mean = torch.std_mean(self.weight, dim=[1, 2, 3], keepdim=True, correction=0)
        return F.conv2d(x, self.gain * (self.weight - mean) / (std + 1e-5), self.bias, self.stride, self.padding)


@block
def standardised(c, pick):
    conv, c = even(c)
    kind = [Standardised, ScaledStandardised][pick([0, 1])]
    return after(nn.Sequential(conv, nn.ReLU()), kind(c, 6, kernel_size=3, padding=1)), 6


@block
def weight_normed(c, pick):
    return weight_norm(nn.Conv2d(c, 5, 3, padding=1)), 5


# --- convolutions ---------------------------------------------------------------------------------------------------


@block
def grouped(c, pick):
    groups = pick([2, 3, 4])
    inner, out = groups * pick([1, 2, 3]), groups * pick([1, 2, 3])
    return nn.Sequential(nn.Conv2d(c, inner, 1), nn.Conv2d(inner, out, 3, 1, 1, groups=groups), nn.ReLU6()), out


@block
def depthwise(c, pick):
    multiplier = pick([1, 2])
    return nn.Sequential(nn.Conv2d(c, c * multiplier, 3, 1, 2, dilation=2, groups=c), nn.Hardswish()), c * multiplier


@block
def transposed(c, pick):
    out = pick([3, 6])
    return nn.Sequential(nn.ConvTranspose2d(c, out, 2, 2), nn.MaxPool2d(2)), out


@block
def transposed_groups(c, pick):
    groups = pick([2, 4])
    inner, b = 4 * groups // pick([1, 2]), pick([1, 2])
    return nn.Sequential(
        nn.Conv2d(c, inner, 1), nn.ConvTranspose2d(inner, groups * b, 3, 1, 1, groups=groups)
    ), groups * b


@block
def transposed_depthwise(c, pick):
    return nn.ConvTranspose2d(c, c, 3, 1, 1, groups=c), c


@block
def blur_pool(c, pick):
    def forward(m, x):
        return F.interpolate(
            F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), m.filt, stride=2, groups=m.channels), scale_factor=2
        )

    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    return Does(forward, filt=(row[:, None] * row)[None, None].repeat(c, 1, 1, 1), channels=c), c


@block
def blur_once(c, pick):
    def forward(m, x):
        return F.conv2d(x, m.filt.expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])

    return Does(forward, filt=torch.rand(1, 1, 3, 3)), c


@block
def einsum(c, pick):
    out = pick([3, 5])
    return Does(lambda m, x: torch.einsum("bchw,oc->bohw", x, m.weight), weight=parameter(out, c)), out


@block
def matmul(c, pick):
    out = pick([3, 5])
    return Does(lambda m, x: (x.permute(0, 2, 3, 1) @ m.weight).permute(0, 3, 1, 2), weight=parameter(c, out)), out


@block
def twice(c, pick):
    conv = nn.Conv2d(c, c, 3, 1, 1)
    return Does(lambda m, x: torch.relu(m.conv(torch.relu(m.conv(x)))) * x, conv=conv), c


@block
def scaled(c, pick):
    return Does(
        lambda m, x: x * m.gamma + m.shift[None, :, None, None], gamma=parameter(c, 1, 1), shift=parameter(c)
    ), c


@block
def pools(c, pick):
    kinds = [nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1), nn.Sequential(nn.ReflectionPad2d(1), nn.MaxPool2d(3, 1)),
             nn.Sequential(nn.ZeroPad2d(1), nn.AvgPool2d(3, 1)), nn.LPPool2d(2, 3, 1), nn.Dropout(), nn.PReLU(c)]  # fmt: skip
    kind = pick(list(range(len(kinds))))
    return (kinds[kind] if kind != 4 else nn.Sequential(nn.ReLU(), nn.ZeroPad2d(1), kinds[4])), c
