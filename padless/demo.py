"""The embedded default: a small ResNet on handwritten digits, trained here, at half its cycles on an Ethos-U55-256."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from padless.choose import Choices
from padless.choose.planning import plan
from padless.choose.replay import prune
from padless.files import write_atomically
from padless.hardware import load_target
from padless.inputs import Images, LoadedModel, load_images
from padless.progress import console
from padless.recover import recover
from padless.report.page import page
from padless.report.report import FILE, Beside, Report
from padless.report.summary import Summary
from padless.runs.dense import Dense
from padless.runs.exchange import claimed
from padless.runs.folder import PAGE, check_folder
from padless.runs.job import Job
from padless.runs.prune import prune_and_save
from padless.train import Recipe, evaluate, finetune


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al., arXiv:1512.03385)."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or c_in != c_out:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return torch.relu(y + self.shortcut(x))


class DigitsResNet(nn.Sequential):
    """ResNet-8 for 1x32x32 images, 32 to 128 channels wide, 10 classes."""

    input_shape = (1, 1, 32, 32)

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
            Block(32, 32, 2), Block(32, 64, 2), Block(64, 128, 2),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10),
        )  # fmt: skip


def demo(folder: Path, seed: int, command: str) -> Summary:
    """Train, prune to half the cycles on `ethos-u55-256`, recover, fine-tune, write `folder`; returns the summary.

    General pruning of the same network, at the same cycles, stands beside it in the report.
    """
    check_folder(folder)
    with claimed(folder):
        return _demo(folder, seed, command)


def _demo(folder: Path, seed: int, command: str) -> Summary:
    torch.manual_seed(seed)
    job = Job(
        model="padless.demo:DigitsResNet", target=load_target("ethos-u55-256"), budgets=("cycles=50%",), data="digits",
        choices=Choices(seed=seed), epochs=5, out=folder, command=command,
        keep_dense=True,
    )  # fmt: skip
    loaded = LoadedModel(name=job.model, model=DigitsResNet(), input_shape=DigitsResNet.input_shape, preprocess=None)
    images = load_images("digits", shape=(1, 32, 32))
    console.print("Training a small ResNet on handwritten digits, 10 epochs")
    finetune(loaded.model, images, Recipe(epochs=10, peak_lr=0.1, batch=64, seed=seed))
    summary = prune_and_save(job, Dense(loaded, images))
    report = replace(Report.read(folder), beside=(general_pruning(loaded.model, images, job, summary),))
    write_atomically(folder / FILE, report.to_json())
    write_atomically(folder / PAGE, page(summary, report))
    return summary


def general_pruning(model: nn.Module, images: Images, job: Job, summary: Summary) -> Beside:
    """What does not look at units, brought to the run's own cycles: one ratio for all layers, by the weights' norms."""
    console.print("Beside it: general pruning, at the same cycles")
    assert summary.recovery is not None
    batches = list(images.calibration(job.calibration, summary.seed))
    choices = Choices(importance="l1", allocate="uniform", align="none", seed=summary.seed)
    budget = f"cycles={summary.after['cycles']}"
    made = plan(model, batches[0][:1], target=job.target, budget=budget, images=batches, choices=choices)
    small = prune(model, made)
    cut = evaluate(small, images)
    recover(small, model, made, batches, method=summary.recovery.method.partition("+")[0])
    return Beside(
        name="general pruning", cycles=made.after["cycles"] or 0, macs=made.after["macs"],
        avoidable_macs_percent=made.after["avoidable_macs_percent"], cut=cut, recovered=evaluate(small, images),
    )  # fmt: skip
