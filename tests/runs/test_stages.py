"""Pruning in stages: one plan that does it all at once."""

import dataclasses

import numpy as np
import pytest
import torch
from checks.coded import Coded
from checks.recovering import images
from models.networks import shaken, small
from torch import nn

from padless import Choices, inspect, load_target, prune, trace, treat
from padless.choose.budget import read_budgets
from padless.cost.pricing import Pricing
from padless.errors import EquivalenceError, UsageError
from padless.importance import importance
from padless.recover import recover
from padless.runs.stages import prune_in_stages
from padless.treat.layers import held

X = torch.zeros(1, 3, 16, 16)
CHOICES = Choices(importance="l1", time_limit=5.0)


def staged(model, budget, recovered=lambda small, plan: None, target="unit:4", steps=1, images=(), **changes):
    choices = dataclasses.replace(CHOICES, **changes)
    with Pricing(model, (X,), load_target(target)) as pricing:
        return prune_in_stages(
            pricing, read_budgets(budget), pricing.dense(), recovered, choices, images=images, steps=steps
        )


def shapes(model):
    return {name: tuple(t.shape) for name, t in model.state_dict().items()}


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_plan_does_at_once_what_the_stages_do(steps):
    model, seen = small(), []

    def recovered(cut, plan):
        seen.append((shapes(cut), shapes(prune(model, plan))))

    made = staged(model, ["macs=40%", "weight_bytes=60%"], recovered, steps=steps)
    assert len(seen) == steps and all(stage == whole for stage, whole in seen)
    at_once = prune(model, made.plan)
    for name, tensor in made.model.state_dict().items():  # nothing was recovered: the weights are the same, too
        assert torch.equal(tensor, at_once.state_dict()[name]), name
    assert [one.budget for one in made.plan.outcomes] == ["macs=40%", "weight_bytes=60%"]
    assert all(one.compiler_total <= one.asked for one in made.plan.outcomes)
    assert made.plan.after["macs"] <= 0.4 * made.plan.before["macs"] and 0 < made.plan.importance_kept < 1
    assert made.error < 1e-10


def test_a_latency_in_stages():
    model = small()
    dense = inspect(model, X, target="adi-max78000").totals()
    ms = 0.5 * dense["milliseconds"]
    made = staged(model, [f"latency={ms:.6f}ms"], target="adi-max78000", steps=2)  # 50 MHz, units of 64 x 1
    assert (
        made.plan.after["milliseconds"] <= ms and made.plan.outcomes[0].budget == f"latency={ms:.6f}".rstrip("0") + "ms"
    )
    assert made.plan.outcomes[0].asked == pytest.approx(ms * 50e3, rel=1e-3)


def test_channels_are_scored_on_the_recovered_network():
    """What recovery made important in the first stage is kept in the second."""
    model = small()

    def recovered(cut, plan):
        with torch.no_grad():
            cut.down.weight[-4:] *= 100

    made = staged(model, ["macs=30%"], recovered, steps=2)
    kept_first = staged(model, ["macs=30%"], steps=2).plan.keep["down"]
    assert made.plan.keep["down"] != kept_first


def test_stages_are_recovered_towards_the_model_itself():
    model = small()
    images = [torch.randn(64, 3, 16, 16)]
    found = []

    def recovered(cut, plan):
        found.append(recover(cut, model, plan, images, method="mix"))
        return found[-1]

    made = staged(model, ["macs=40%"], recovered, steps=2)
    assert made.recoveries == tuple(found) and len(found) == 2
    with torch.no_grad():
        far = (prune(model, made.plan)(images[0]) - model(images[0])).square().mean()
        assert (made.model(images[0]) - model(images[0])).square().mean() < far


def test_a_stage_with_nothing_to_do_is_left_out():
    """Units so wide that the first stage's cut meets the second's budget already."""
    made = staged(small(), ["macs=55%"], steps=6, target="unit:8")
    assert 0 < made.plan.after["macs"] <= 0.55 * made.plan.before["macs"]
    assert made.plan.outcomes[0].asked == pytest.approx(0.55 * made.plan.before["macs"])


@pytest.mark.parametrize(
    ("budget", "frozen", "stages"), [("cycles=80%", ("stem", "block.body.0", "down"), 1), ("cycles=35%", (), 2)]
)
def test_treatments_are_those_of_the_last_stage(budget, frozen, stages):
    """A stage that would treat weights and cut nothing is left out."""
    model, seen = shaken(small()), []
    asked = [images(64)]

    def recovered(cut, plan):
        seen.append(plan)
        return recover(cut, model, plan, asked, method="mix")

    choices = Choices(treat=("grid:17", "grid:5"), freeze=frozen)
    with Pricing(model, (X,), load_target("unit:4"), oracle=Coded()) as pricing:
        made = prune_in_stages(
            pricing, read_budgets(budget), pricing.dense(), recovered, choices, images=asked, steps=2
        )
    assert len(seen) == stages and seen[-1].keep == made.plan.keep
    assert made.plan.treatments and made.plan.outcomes[0].compiler_total <= made.plan.outcomes[0].asked
    assert not held(made.model, made.plan.treatments, trace(made.model, X).layers)  # carried out last, after training
    treat(made.model, asked, made.plan.treatments, model=model, plan=made.plan)
    assert held(made.model, made.plan.treatments, trace(made.model, X).layers) == made.plan.treatments


def test_where_treatments_pay_no_more_later_stages_go_on_without(capsys):
    class Wide(Coded):
        """Narrow layers gain nothing by treatments."""

        def __call__(self, shapes):
            wide = [
                s if s.c_out >= 32 or not hasattr(s, "treatment") else dataclasses.replace(s, treatment="int8")
                for s in shapes
            ]
            return super().__call__(wide)

    model, x = shaken(small()), [images(64)]
    choices = Choices(treat=("grid:5",))
    with Pricing(model, (X,), load_target("unit:4"), oracle=Wide()) as pricing:
        ask = (pricing, read_budgets("cycles=20%"), pricing.dense(), lambda small, plan: None, choices)
        made = prune_in_stages(*ask, images=x, steps=3)
    told = " ".join(capsys.readouterr().err.split())
    assert "goes on without treatments: Treatments do not pay on unit:4: with grid:5 the costliest layers" in told
    assert not made.plan.treatments and made.plan.outcomes[0].compiler_total <= made.plan.outcomes[0].asked


def test_a_floor_holds_over_all_stages():
    model = small()
    curves = importance(trace(model, X), model).curves
    loose, held = (staged(model, ["macs=55%"], steps=2, floor=floor).plan for floor in (0.0, 0.4))
    kept = [min(c.kept[len(made.keep[id])] for id, c in curves.items()) for made in (loose, held)]
    assert kept[0] < 0.4 <= kept[1] + 0.02  # scored anew, a share is of another whole


def test_wrong_numbers_of_steps():
    with pytest.raises(UsageError, match="Pruning takes 1 step or more; got 0"):
        staged(small(), ["macs=50%"], steps=0)
    with pytest.raises(UsageError, match=r"Channels of zeros \(--repair up\) come in one step"):
        staged(small(), ["macs=50%"], steps=2, repair="up")
    assert np.isfinite(staged(small(), ["macs=50%"], repair="up").error)


def test_each_stage_is_checked_where_the_network_lives():
    class Front(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = small()

        def forward(self, x):
            return self.net((x - 2).log())

    with pytest.raises(EquivalenceError, match="on normal, positive inputs"):
        staged(Front(), ["macs=50%"], steps=2)
    result = staged(Front(), ["macs=50%"], steps=2, images=[torch.rand(4, 3, 16, 16) + 2.5])
    assert result.error < 1e-10 and result.model.net.stem.out_channels < 16
