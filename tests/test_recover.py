"""Batch norm re-estimation, fine-tuning, accuracy."""

import dataclasses

import pytest
import torch
from torch import nn

from padless import Recipe, evaluate, finetune, load_images, reestimate_batchnorm
from padless.errors import UsageError
from padless.train.batches import crops


@pytest.fixture(scope="module")
def digits():
    return load_images("digits", shape=(1, 16, 16))


def network(outputs: int = 10) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Flatten(), nn.Linear(256, outputs),
    )  # fmt: skip


def test_recovered_statistics_are_the_averages_over_batches(digits):
    model = network()
    batches = list(digits.calibration(256, seed=0))
    seen = reestimate_batchnorm(model, batches)
    assert seen == 256
    outputs = [model[0](b) for b in batches]
    mean = torch.stack([y.mean((0, 2, 3)) for y in outputs]).mean(0)
    var = torch.stack([y.var((0, 2, 3)) for y in outputs]).mean(0)
    torch.testing.assert_close(model[1].running_mean, mean)
    torch.testing.assert_close(model[1].running_var, var)


def test_recovery_changes_statistics_only(digits):
    model = network().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    reestimate_batchnorm(model, digits.calibration(128, seed=0))
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {f"{i}.{n}" for i in (1, 4) for n in ("running_mean", "running_var", "num_batches_tracked")}
    assert model.training and model[1].training and model[1].momentum == 0.1


def test_no_images_leave_the_statistics_alone(digits):
    model = network()
    before = {k: v.clone() for k, v in model.state_dict().items()}

    def breaks():
        yield from digits.calibration(128, seed=0)
        raise KeyboardInterrupt

    with pytest.raises(UsageError, match="No images to re-estimate batch norm on"):
        reestimate_batchnorm(model, iter([]))
    with pytest.raises(KeyboardInterrupt):
        reestimate_batchnorm(model, breaks())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_finetuning_learns_and_repeats_itself(digits):
    def train(seed):
        torch.manual_seed(0)
        model = network()
        losses = finetune(model, digits, Recipe(epochs=2, peak_lr=0.1, seed=seed)).losses
        return losses, evaluate(model, digits), model

    losses, accuracy, model = train(seed=1)
    assert losses[1] < losses[0] and accuracy > 60 and not model.training
    assert train(seed=1)[:2] == (losses, accuracy)
    assert train(seed=2)[0] != losses


@pytest.mark.parametrize("steps", range(1, 11))
def test_any_number_of_steps(digits, steps):
    few = dataclasses.replace(digits, train=digits.train[: 8 * steps], train_labels=digits.train_labels[: 8 * steps])
    assert len(finetune(network(), few, Recipe(epochs=1, batch=8)).step_losses) == steps


def test_accuracy_is_counted(digits):
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.anchor = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return torch.nn.functional.one_hot(torch.full((len(x),), 3), 10).float() + self.anchor

    model = Constant().train()
    assert evaluate(model, digits) == pytest.approx(100 * float((digits.test_labels == 3).double().mean()))
    assert model.training


def test_too_few_outputs(digits):
    for act in (lambda m: evaluate(m, digits), lambda m: finetune(m, digits, Recipe(epochs=1))):
        with pytest.raises(UsageError, match="digits has labels up to 9, the network 7 outputs"):
            act(network(7))


def test_augmentation_crops_and_mirrors():
    image = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8).expand(200, 1, 8, 8)
    torch.manual_seed(0)
    shift = torch.randint(0, 3, (2, 200))
    plain = crops(image, shift, torch.zeros(200, dtype=torch.bool), 1)
    mirrored = crops(image, shift, torch.rand(200) < 0.5, 1)
    assert plain.shape == mirrored.shape == (200, 1, 8, 8) and plain.dtype == torch.uint8
    rises = plain[:, 0, 4, 4].int() - plain[:, 0, 4, 3].int()
    assert (rises == 1).all()
    assert 60 < int((mirrored[:, 0, 4, 4].int() - mirrored[:, 0, 4, 3].int() == -1).sum()) < 140
    assert len({tuple(x.flatten().tolist()) for x in plain}) == 9  # three offsets each way
