"""Which outputs count: those that are named stay, the others may lose channels."""

import pytest
import torch
from torch import nn

from padless import Plan, UsageError, inspect, plan, prune, trace

X = torch.zeros(1, 3, 8, 8)


class Detector(nn.Module):
    """Boxes from a map that is also returned raw, and a second head."""

    def __init__(self):
        super().__init__()
        self.stem, self.raw = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 48, 3)
        self.boxes, self.side = nn.Conv2d(48, 4, 1), nn.Conv2d(32, 24, 1)

    def forward(self, x):
        x = self.stem(x).relu()
        raw = self.raw(x)
        return {"boxes": self.boxes(raw), "more": [raw, self.side(x)]}


def pinned(outputs):
    return {g.id: g.pinned for g in trace(Detector(), X, outputs=outputs).groups}


def test_all_outputs_stay_unless_some_are_named():
    stays = "output of the network"
    assert pinned(None) == {"stem": None, "raw": stays, "boxes": stays, "side": stays}
    assert pinned(["boxes"]) == {"stem": None, "raw": None, "boxes": stays, "side": None}
    assert pinned(["boxes", "more.1"]) == {"stem": None, "raw": None, "boxes": stays, "side": stays}
    assert pinned(["boxes", "more"]) == pinned(None)
    assert trace(Detector(), X).recording.output_names == ("boxes", "more.0", "more.1")


def test_what_is_not_named_is_cut_and_checked():
    torch.manual_seed(0)
    model = Detector()
    made = plan(model, X, target="unit:8", budget="macs=40%", outputs=["boxes"])
    assert Plan.from_json(made.to_json()).outputs == ["boxes"]
    small = prune(model, made)
    returned = small(X)
    assert returned["boxes"].shape == (1, 4, 4, 4)
    assert returned["more"][0].shape[1] == small.raw.out_channels < 48
    assert returned["more"][1].shape[1] == small.side.out_channels <= 24


def test_a_single_output_by_its_place():
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3))
    with pytest.raises(UsageError, match=r"The network has no output '0'. Its outputs: \(the only one\)"):
        trace(model, X, outputs=[0])
    with pytest.raises(UsageError, match="has no output 'box'. Its outputs: boxes, more.0, more.1"):
        inspect(Detector(), X, target="unit:8", outputs=["box"])
    with pytest.raises(UsageError, match="Name one output or more that must stay"):
        trace(Detector(), X, outputs=[])
