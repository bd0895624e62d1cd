"""A plain fine-tuning loop, and the accuracy that it is judged by."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from padless.errors import UsageError
from padless.inputs import Images
from padless.modes import device_of, evaluating
from padless.progress import bar


def bf16_pays(device: torch.device) -> bool:
    """Whether half precision is faster there: GPUs, and processors with bfloat16 instructions."""
    if device.type != "cpu":
        return True
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@torch.no_grad()
def evaluate(model: nn.Module, images: Images, *, batch: int = 500) -> float:
    """Top-1 accuracy on the test set in percent, float32, evaluation mode."""
    device = _check(model, images)
    right = 0
    with evaluating(model), bar("Testing", len(images.test)) as shown:
        for x, y in zip(images.test.split(batch), images.test_labels.split(batch), strict=True):
            right += int((model(images.normalised(x).to(device)).argmax(1).cpu() == y).sum())
            shown.advance(len(x))
    return 100.0 * right / len(images.test)


def finetune(
    model: nn.Module,
    images: Images,
    *,
    epochs: int,
    peak_lr: float = 0.02,
    batch: int = 128,
    weight_decay: float = 5e-4,
    seed: int = 0,
) -> list[float]:
    """Train `model` in place and return each epoch's mean loss. The state after the last epoch stays, not the best one.

    SGD with Nesterov momentum 0.9 on a one-cycle schedule (Smith and Topin, arXiv:1708.07120) that warms up for a
    quarter of the steps; no weight decay on biases and norms; label smoothing 0.05; crops from a reflected border of an
    eighth of the image, and mirroring where a mirrored image keeps its label; bfloat16 where the device gains by it.

    Raises UsageError when a label lies beyond the network's outputs.
    """
    device = _check(model, images)
    generator = torch.Generator().manual_seed(seed)
    steps = -(-len(images.train) // batch)
    optimiser = torch.optim.SGD(
        [
            {"params": [p for p in model.parameters() if p.requires_grad and p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in model.parameters() if p.requires_grad and p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=peak_lr, momentum=0.9, nesterov=True,
    )  # fmt: skip
    total = max(3, epochs * steps + 1)
    warm_up = max(2.0, 0.25 * total) / total  # the schedule divides by the steps of a phase less one
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak_lr, total_steps=total, pct_start=warm_up)
    model.train()
    losses = []
    with bar("Fine-tuning", epochs * steps) as shown:
        for epoch in range(epochs):
            summed = right = seen = 0.0
            for rows in torch.randperm(len(images.train), generator=generator).split(batch):
                x = images.normalised(_augmented(images.train[rows], images.flips, generator)).to(device)
                y = images.train_labels[rows].to(device)
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16_pays(device)):
                    logits = model(x)
                    loss = F.cross_entropy(logits, y, label_smoothing=0.05)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                schedule.step()
                summed += loss.item() * len(x)
                right += float((logits.argmax(1) == y).sum())
                seen += len(x)
                shown.advance(
                    1, f"epoch {epoch + 1}/{epochs}  loss {summed / seen:.3f}  accuracy {100 * right / seen:.1f} %"
                )
            losses.append(summed / seen)
    model.eval()
    return losses


def _augmented(images: Tensor, flips: bool, generator: torch.Generator) -> Tensor:
    """A random crop of each image from its reflected border, half of them mirrored."""
    n, _, rows, columns = images.shape
    border = max(1, rows // 8)
    padded = F.pad(images.float(), [border] * 4, mode="reflect").to(images.dtype)
    top, left = torch.randint(0, 2 * border + 1, (2, n, 1), generator=generator)
    y, x = top + torch.arange(rows), left + torch.arange(columns)
    if flips:
        x = torch.where(torch.rand(n, 1, generator=generator) < 0.5, x.flip(1), x)
    return padded[torch.arange(n)[:, None, None], :, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def _check(model: nn.Module, images: Images) -> torch.device:
    device = device_of(model)
    with evaluating(model), torch.no_grad():
        outputs = model(images.normalised(images.test[:1]).to(device)).shape[1]
    if images.classes > outputs:
        raise UsageError(f"{images.name} has labels up to {images.classes - 1}, the network {outputs} outputs.")
    return device
