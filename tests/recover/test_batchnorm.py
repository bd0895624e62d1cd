"""Batch norm re-estimation, and norms that are rebased."""

import copy

import pytest
import torch
from torch import nn

from padless.errors import UsageError
from padless.recover import reestimate_batchnorm
from padless.recover.batchnorm import rebase_batchnorm


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


@torch.no_grad()
def test_rebased_norms_do_what_they_did_and_train_from_there(digits):
    """Norms whose statistics are of other inputs, as behind layers that were solved for."""
    torch.manual_seed(0)
    model = network()
    for norm in (model[1], model[4]):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.2, 5)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    batches = list(digits.calibration(512, seed=0))
    x = torch.cat(batches)

    def gap():
        """Between the functions of the two modes, of the outputs' deviation."""
        trained = copy.deepcopy(model).train()(x)
        return float((trained - model.eval()(x)).std() / model(x).std())

    before, apart = model.eval()(x), gap()
    model.train()
    rebase_batchnorm(model, batches)
    assert model.training
    assert torch.allclose(model.eval()(x), before, atol=1e-4)
    assert apart > 0.5
    assert gap() < 0.01
    torch.testing.assert_close(model[1].running_mean, model[0](x).mean((0, 2, 3)))
    torch.testing.assert_close(model[1].running_var, model[0](x).var((0, 2, 3), correction=0))


def test_norms_that_cannot_be_rebased_stay(digits):
    class Partly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bare, self.of_batches = nn.BatchNorm2d(1, affine=False), nn.BatchNorm2d(1, track_running_stats=False)
            self.unused = nn.BatchNorm2d(4)

        def forward(self, x):
            return self.of_batches(self.bare(x))

    model = Partly()
    before = copy.deepcopy(model.state_dict())
    rebase_batchnorm(model, digits.calibration(128, seed=0))
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_a_single_image_has_no_variance():
    norm = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3)).eval()
    with pytest.raises(
        UsageError, match="Batch norm cannot be re-estimated on a single image where a norm sees one number"
    ):
        reestimate_batchnorm(norm, [torch.randn(2, 3, 4, 4), torch.randn(1, 3, 4, 4)])
    assert torch.equal(norm[1].running_mean, torch.zeros(3)) and norm[1].momentum == 0.1
