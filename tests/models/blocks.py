"""Random networks of blocks: one of every way to move, mix and normalise channels.

Each block maps [N, c, 8, 8] to [N, out, 8, 8]. `BLOCKS` makes one by name from c and a source of numbers.
"""

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from models import (  # noqa: F401  (they fill BLOCKS)
    blocks_beside,
    blocks_made,
    blocks_mixing,
    blocks_moving,
    blocks_staying,
    blocks_volumes,
)  # fmt: skip
from models.block_base import BLOCKS, Pick

__all__ = ["BLOCKS", "build", "networks"]


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
