"""Fine-tuning: what a run does."""

import copy
import dataclasses

import pytest
import torch
from checks.states import same
from models.digits import network, seeded
from torch import nn

from padless import Recipe, evaluate, finetune, plan
from padless.errors import UsageError
from padless.train.loop import averaged


def test_it_learns_and_repeats_itself(digits):
    def train(seed):
        model = seeded()
        history = finetune(model, digits, Recipe(epochs=2, peak_lr=0.1, seed=seed))
        assert not model.training
        return history.losses, evaluate(model, digits)

    losses, accuracy = train(1)
    assert losses[1] < losses[0] and accuracy > 60
    assert train(1) == (losses, accuracy)
    assert train(2)[0] != losses


def test_the_callers_random_numbers_are_left_alone(few):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    finetune_state = torch.random.get_rng_state()
    model = network()
    torch.random.set_rng_state(finetune_state)
    finetune(model, few, Recipe(epochs=1))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("steps", range(1, 11))
def test_any_number_of_steps(digits, steps):
    some = dataclasses.replace(
        digits, train=digits.train[: 8 * steps + 7], train_labels=digits.train_labels[: 8 * steps + 7]
    )
    history = finetune(network(), some, Recipe(epochs=2, batch=8))
    assert len(history.step_losses) == 2 * steps and len(history.losses) == 2


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_the_schedule_goes_up_to_the_peak_and_down_to_nothing(few, schedule, monkeypatch):
    rates = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(
        torch.optim.SGD,
        "step",
        lambda self, *a, **k: (rates.append(self.param_groups[0]["lr"]), step(self, *a, **k))[1],
    )
    finetune(seeded(), few, Recipe(epochs=4, batch=8, peak_lr=0.3, schedule=schedule))
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.3, rel=0.01) and rates[0] < 0.05 and rates[-1] < 0.003
    assert rates == sorted(rates[: top + 1]) + sorted(rates[top + 1 :], reverse=True)
    assert (top / len(rates) > 0.15) == (schedule == "one-cycle")


def test_each_part_of_the_recipe_changes_the_run(few):
    def end(**options):
        model = seeded()
        finetune(model, few, Recipe(epochs=1, batch=20, **options), teacher=teacher, plan=cut)
        return model

    teacher = seeded(1)
    cut = plan(teacher, torch.zeros(1, 1, 16, 16), target="unit:2", budget="macs=90%", floor=0.0)
    ends = [end(**{name: value}) for name, value in {
        "distill": 0.0, "temperature": 2.0, "label_smoothing": 0.2, "mixup": 0.4, "ema": 0.9, "clip": 0.01, "batch": 10,
        "schedule": "cosine", "weight_decay": 0.1, "seed": 1,
    }.items() if name != "batch"]  # fmt: skip
    plain = end()
    assert not any(same(plain, one) for one in ends)
    assert same(plain, end())
    close = end(channels_last=True)
    assert all(p.is_contiguous() for p in close.parameters())
    torch.testing.assert_close(close.state_dict(), plain.state_dict(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("field", "value", "told"), [
    ("epochs", 0, "epochs is from 1 to"), ("batch", 0, "batch is from 1 to"), ("seed", -1, "seed is from 0 to"),
    ("peak_lr", 0.0, "peak_lr is above 0"), ("temperature", float("nan"), "temperature is above 0"),
    ("clip", -1.0, "clip is from 0 to 1,000,000"), ("distill", 1.5, "distill is from 0 to 1"), ("ema", -0.1, "ema is from 0 to 1"),
    ("schedule", "linear", "one-cycle or cosine; got 'linear'"), ("precision", "fp8", "auto or float32 or bfloat16"),
])  # fmt: skip
def test_recipes_out_of_range(field, value, told):
    with pytest.raises(UsageError, match=told):
        Recipe(**{field: value})


class Other(nn.Module):
    """Gives `form(scores)`, in training mode alone or always."""

    def __init__(self, form, always):
        super().__init__()
        self.body, self.form, self.always = network(), form, always

    def forward(self, x):
        scores = self.body(x)
        return self.form(scores) if self.training or self.always else scores


@pytest.mark.parametrize(("form", "always", "told"), [
    (lambda y: (y, y), False, "gives tuple in training mode; expected class scores"),
    (lambda y: {"logits": y}, True, "gives dict; expected class scores"),
    (lambda y: y[:, :, None], True, r"gives \[1, 10, 1\]; expected class scores"),
])  # fmt: skip
def test_networks_that_give_no_class_scores(few, form, always, told):
    model = Other(form, always).eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(UsageError, match=told):
        finetune(model, few, Recipe(epochs=1))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_nothing_to_train(few):
    with pytest.raises(UsageError, match="No parameter of the network requires gradients"):
        finetune(network().requires_grad_(False), few, Recipe(epochs=1))


def test_an_average_of_tied_weights_moves_once(few):
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    average = copy.deepcopy(model)
    with torch.no_grad():
        model[0].weight += 1.0
    before = average[0].weight.clone()
    averaged(average, model, 0.9)
    torch.testing.assert_close(average[0].weight - before, torch.full((2, 2), 0.1))
