"""Blocks as timm, torchvision and YOLO write them: one of every way to move, mix and normalise channels.

Each maps c channels to `out` channels on [N, c, 8, 8] maps. `BLOCKS` makes one by name from c and a source of numbers.
"""

from collections.abc import Callable

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

Pick = Callable[[list[int]], int]
BLOCKS: dict[str, Callable[[int, Pick], tuple[nn.Module, int]]] = {}


def block(make: Callable[[int, Pick], tuple[nn.Module, int]]) -> Callable[[int, Pick], tuple[nn.Module, int]]:
    BLOCKS[make.__name__.rstrip("_")] = make
    return make


class Does(nn.Module):
    """A block whose forward is a function of itself and its input; keyword arguments become attributes."""

    def __init__(self, forward: Callable[["Does", Tensor], Tensor], **parts: object) -> None:
        super().__init__()
        self.does = forward
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.does(self, x)


def even(c: int, m: int = 2) -> tuple[nn.Module, int]:
    """A convolution to the next multiple of m: many blocks need one."""
    out = max(m, (c + m - 1) // m * m)
    return nn.Conv2d(c, out, 1), out


def after(conv: nn.Module, what: nn.Module) -> nn.Module:
    return nn.Sequential(conv, what)


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.rand(shape) + 0.5)


def fixed(forward: Callable[[Does, Tensor], Tensor], c: int, m: int = 2, **parts: object) -> tuple[nn.Module, int]:
    conv, c = even(c, m)
    return after(conv, Does(forward, **parts)), c


# --- moving channels ------------------------------------------------------------------------------------------------


@block
def shuffle(c, pick):
    def forward(m, x):
        b, c, h, w = x.shape
        return x.view(b, m.groups, c // m.groups, h, w).transpose(1, 2).reshape(b, c, h, w)

    return fixed(forward, c, 6, groups=pick([2, 3]))


@block
def shuffle_module(c, pick):
    conv, c = even(c, 4)
    return after(conv, nn.ChannelShuffle(pick([2, 4]))), c


@block
def shuffle_unit(c, pick):
    conv, c = even(c, 4)
    half = c // 2
    branch = nn.Sequential(
        nn.Conv2d(half, half, 1), nn.Conv2d(half, half, 3, 1, 1, groups=half), nn.Conv2d(half, half, 1)
    )

    def forward(m, x):
        a, b = x.chunk(2, dim=1)
        x = torch.cat((a, m.branch(b)), dim=1)
        n, c, h, w = x.size()
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)

    return after(conv, Does(forward, branch=branch)), c


@block
def flip_roll(c, pick):
    return fixed(lambda m, x: x.flip(1).roll(m.by, 1), c, by=pick([1, 2, -1]))


@block
def permuted(c, pick):
    conv, c = even(c)
    return after(conv, Does(lambda m, x: x[:, m.order] + x.index_select(1, m.order), order=torch.randperm(c))), c


@block
def picked(c, pick):
    conv, c = even(c, 4)
    return after(conv, Does(lambda m, x: torch.cat([x[:, [2, 0]], x], 1))), c + 2


@block
def pixel_shuffle(c, pick):
    conv, c = even(c, 4)
    return after(conv, nn.Sequential(nn.PixelShuffle(2), nn.MaxPool2d(2))), c // 4


@block
def pixel_unshuffle(c, pick):
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Upsample(scale_factor=2)), 4 * c


@block
def space_to_depth(c, pick):
    def forward(m, x):
        n, c, h, w = x.size()
        x = x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).contiguous()
        return F.interpolate(x.view(n, c * 4, h // 2, w // 2), size=(h, w), mode="bilinear")

    return Does(forward), 4 * c


@block
def focus(c, pick):
    def forward(m, x):
        parts = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
        return m.conv(torch.cat(parts, 1)).repeat_interleave(2, 2).repeat_interleave(2, 3)

    return Does(forward, conv=nn.Conv2d(4 * c, 6, 1)), 6


@block
def unfold(c, pick):
    def forward(m, x):
        n, _, h, w = x.shape
        return m.conv(F.unfold(x, 3, padding=1).view(n, -1, h, w))

    return Does(forward, conv=nn.Conv2d(9 * c, 5, 1)), 5


@block
def fold(c, pick):
    conv, c = even(c, 4)
    return after(conv, Does(lambda m, x: F.fold(F.unfold(x, 2), x.shape[-2:], 2))), c


# --- taking apart and joining ---------------------------------------------------------------------------------------


@block
def split_stored(c, pick):
    conv, c = even(c, 3)
    width = c // 3
    return after(
        conv,
        Does(lambda m, x: torch.cat([conv(p) for conv, p in zip(m.convs, torch.split(x, m.width, 1), strict=True)], 1),
             width=width, convs=nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(3))),
    ), c  # fmt: skip


@block
def split_sizes(c, pick):
    conv, c = even(c, 4)
    sizes = [c // 4, c - c // 4]
    convs = nn.ModuleList(nn.Conv2d(s, s, k, 1, k // 2, groups=s) for s, k in zip(sizes, (3, 5), strict=True))

    def forward(m, x):
        return torch.cat([conv(p) for conv, p in zip(m.convs, torch.split(x, m.sizes, 1), strict=True)], 1)

    return after(conv, Does(forward, sizes=sizes, convs=convs)), c


@block
def partial(c, pick):
    conv, c = even(c, 4)
    n = c // 4

    def forward(m, x):
        return torch.cat([m.conv(x[:, : m.n]), x[:, m.n :]], 1)

    return after(conv, Does(forward, n=n, conv=nn.Conv2d(n, n, 3, 1, 1))), c


@block
def literal_slices(c, pick):
    return fixed(lambda m, x: torch.cat([x[:, -2:], x[:, 1:], x[:, :1]], 1), c, 4)[0], max(4, (c + 3) // 4 * 4) + 2


@block
def halves(c, pick):
    def forward(m, x):
        half = x.shape[1] // 2
        return x[:, :half] * x[:, half:].sigmoid() + x[:, ::2]

    module, c = fixed(forward, c)
    return module, c // 2


@block
def sections(c, pick):
    module, c = fixed(lambda m, x: sum(x.tensor_split(2, 1)) + x.unflatten(1, (2, -1)).sum(1), c)
    return module, c // 2


@block
def gated(c, pick):
    module, c = fixed(lambda m, x: F.glu(x, 1), c)
    return module, c // 2


@block
def c2f(c, pick):
    hidden, n = pick([2, 4]), pick([1, 2])

    def forward(m, x):
        y = list(m.cv1(x).chunk(2, 1))
        y.extend(b(y[-1]) + y[-1] for b in m.m)
        return m.cv2(torch.cat(y, 1))

    bottlenecks = nn.ModuleList(nn.Sequential(nn.Conv2d(hidden, hidden, 3, 1, 1), nn.SiLU()) for _ in range(n))
    return Does(forward, cv1=nn.Conv2d(c, 2 * hidden, 1), cv2=nn.Conv2d((2 + n) * hidden, 6, 1), m=bottlenecks), 6


@block
def res2net(c, pick):
    width, scale = pick([2, 3]), 4

    def forward(m, x):
        parts, out = torch.split(m.conv1(x), m.width, 1), []
        y = parts[0]
        for i, conv in enumerate(m.convs):
            y = conv(y if i == 0 else y + parts[i])
            out.append(y)
        return m.conv3(torch.cat([*out, parts[-1]], 1)) + x

    convs = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(scale - 1))
    return Does(
        forward, conv1=nn.Conv2d(c, width * scale, 1), conv3=nn.Conv2d(width * scale, c, 1), convs=convs, width=width
    ), c


@block
def dense(c, pick):
    growth = pick([2, 3, 5])
    return Does(
        lambda m, x: torch.cat([x, m.conv(m.norm(x).relu())], 1),
        norm=nn.BatchNorm2d(c),
        conv=nn.Conv2d(c, growth, 3, 1, 1),
    ), c + growth


@block
def channel_pad(c, pick):
    p = pick([1, 2])
    return Does(
        lambda m, x: m.conv(x) + F.pad(x, (0, 0, 0, 0, m.p, m.p)), conv=nn.Conv2d(c, c + 2 * p, 1), p=p
    ), c + 2 * p


@block
def residual(c, pick):
    hidden = pick([3, 5, 8])
    body = nn.Sequential(nn.Conv2d(c, hidden, 3, 1, 1), nn.BatchNorm2d(hidden), nn.ReLU(), nn.Conv2d(hidden, c, 1))
    return Does(lambda m, x: torch.relu(x + m.body(x)), body=body), c


@block
def branches(c, pick):
    left, right = nn.Conv2d(c, pick([2, 5]), 1), nn.Conv2d(c, pick([3, 4]), 3, padding=1)

    def forward(m, x):
        return torch.cat([m.left(x), m.right(x)], 1).relu_()

    return Does(forward, left=left, right=right), left.out_channels + right.out_channels


@block
def flattened(c, pick):
    def forward(m, x):
        y = m.fc2(torch.relu(m.norm(m.fc1(F.adaptive_avg_pool2d(x, 2).flatten(1)))))
        return x * y.view(-1, x.shape[1], 1, 1)

    return Does(forward, fc1=nn.Linear(4 * c, 6), norm=nn.BatchNorm1d(6), fc2=nn.Linear(6, c)), c


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
        if m.explicit:
            t = ((q * m.scale) @ k.transpose(-2, -1)).softmax(-1) @ v
        else:
            t = F.scaled_dot_product_attention(q, k, v)
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


class Network(nn.Module):
    """A stem, blocks, and a head; with `several`, a dictionary of outputs."""

    def __init__(self, stem: nn.Module, blocks: list[nn.Module], c: int, several: bool) -> None:
        super().__init__()
        self.stem, self.blocks, self.head, self.side = stem, nn.ModuleList(blocks), nn.Linear(c, 3), nn.Conv2d(c, 2, 1)
        self.several = several

    def extra_repr(self) -> str:
        return f"of {self.names}"

    def forward(self, x: Tensor) -> Tensor | dict[str, object]:
        x = self.stem(x)
        for b in self.blocks:
            x = b(x)
        y = self.head(x.mean((2, 3)))
        return {"classes": y, "maps": (self.side(x), [x.mean((1, 2, 3))])} if self.several else y


def build(names: list[str], width: int, pick: Pick, several: bool = False) -> nn.Module:
    """A network of these blocks, with random weights none of which is constant, in evaluation mode."""
    c, blocks = width, []
    for name in names:
        made, c = BLOCKS[name](c, pick)
        blocks.append(made)
    model = Network(nn.Conv2d(2, width, 3, padding=1), blocks, c, several)
    model.names = names
    with torch.no_grad():
        for m in model.modules():
            if isinstance(m, nn.modules.batchnorm._NormBase) and m.running_mean is not None:
                m.running_mean.normal_(0, 0.3)
                m.running_var.uniform_(0.5, 2)
        for p in model.parameters():
            if bool((p == p.flatten()[0]).all()):
                p.add_(torch.empty_like(p).normal_(0, 0.3))
    return model.eval()


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, Tensor]:
    """A network of one to four random blocks, some with frozen parameters or several outputs, and an input for it."""

    def pick(options: list[int]) -> int:
        return draw(st.sampled_from(options))

    names = draw(st.lists(st.sampled_from(sorted(BLOCKS)), min_size=1, max_size=4))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    model = build(names, draw(st.integers(2, 12)), pick, several=draw(st.booleans()))
    model.requires_grad_(draw(st.booleans()))
    return model, torch.zeros(draw(st.integers(1, 2)), 2, 8, 8)
