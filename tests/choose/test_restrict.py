"""What single groups may be."""

import pytest
import torch
from models.networks import small
from torch import nn

from padless import plan, trace
from padless.choose.choices import ALLOCATIONS
from padless.errors import InfeasibleError, UsageError
from padless.importance import importance

X = torch.zeros(1, 3, 16, 16)


def test_what_single_groups_may_be():
    model = small()
    free = plan(model, X, target="unit:4", budget="macs=50%")
    frozen = plan(model, X, target="unit:4", budget="macs=90%", freeze=["block.body.*"])
    assert len(free.keep["block.body.0"]) < len(frozen.keep["block.body.0"]) == 24
    assert len(frozen.keep["stem"]) == 16  # block.body.3 writes it too
    bound = plan(model, X, target="unit:4", budget="macs=50%", widths={"down": (8, 12), "stem": (12, 16)})
    assert len(bound.keep["down"]) in (8, 12) and len(bound.keep["stem"]) in (12, 16)
    for allocate in ALLOCATIONS:
        made = plan(model, X, target="unit:4", budget="macs=85%", floor=0.75, allocate=allocate)
        curves = importance(trace(model, X), model).curves
        assert all(c.kept[len(made.keep[id])] >= 0.75 for id, c in curves.items())


def test_impossible_wishes():
    for wish, message in (
        ({"freeze": ["stam"]}, "No layer is called 'stam'. Did you mean stem"),
        (
            {"widths": {"down": (1, 7)}},
            r"down cannot have from 1 to 7 channels: the target's units allow 8, 16, 24, 32\.",
        ),
        (
            {"widths": {"head": (1, 3)}},
            r"head cannot have from 1 to 3 channels: it must stay \(output of the network\)",
        ),
        ({"floor": 1.5}, "importance floor is a share from 0 to 1; got 1.5"),
    ):
        with pytest.raises(UsageError, match=message):
            plan(small(), X, target="unit:8", budget="macs=50%", **wish)


def narrow(last=24):
    return nn.Sequential(nn.Conv2d(3, 16, 1), nn.ReLU(), nn.Conv2d(16, last, 1), nn.ReLU(), nn.Conv2d(last, 4, 1))


def test_units_that_leave_one_width_are_named():
    x = torch.zeros(1, 3, 4, 4)
    with pytest.raises(InfeasibleError, match="every group of channels has one width.*Use --align none") as error:
        plan(narrow(), x, target="unit:16", budget="macs=40%")
    assert "\n  0: its 16 channels are outputs of layer 0, in units of 16" in str(error.value)
    assert "Freeze" not in str(error.value)
    made = plan(narrow(), x, target="unit:16", budget="macs=40%", align="none")
    assert made.after["macs"] <= 0.4 * made.before["macs"]


def test_layers_that_were_frozen_are_named():
    x = torch.zeros(1, 3, 4, 4)
    with pytest.raises(
        InfeasibleError, match="has one width.*Freeze or limit fewer layers.\n  0: frozen or limited to 16"
    ):
        plan(narrow(), x, target="unit:8", budget="macs=40%", freeze=["*"])
    with pytest.raises(InfeasibleError, match="Freeze or limit fewer layers, or use --align none, which"):
        plan(narrow(32), x, target="unit:16", budget="macs=40%", freeze=["2"])


def test_only_so_many_reasons_are_listed():
    many = nn.Sequential(*(nn.Conv2d(16 if i else 3, 16, 1) for i in range(9)), nn.Conv2d(16, 4, 1))
    with pytest.raises(InfeasibleError, match="in units of 16\n  and 4 more"):
        plan(many, torch.zeros(1, 3, 4, 4), target="unit:16", budget="macs=40%")
