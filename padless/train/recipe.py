"""How a network is fine-tuned: plain data, kept with every checkpoint."""

from dataclasses import dataclass
from typing import Literal, get_args

from padless.errors import UsageError

# Without batch norms that follow the weights (an ONNX file's are fixed, or folded) larger steps do harm.
FIXED_NORMS_LR = 0.002
LARGEST = 1_000_000  # of any factor
Schedule = Literal["one-cycle", "cosine"]
TrainingPrecision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """SGD with Nesterov momentum, and what is added to it. Shares and weights of 0 turn their part off.

    Raises UsageError for what is out of range.
    """

    epochs: int = 5
    batch: int = 128  # images a step, on all devices together
    peak_lr: float = 0.02
    schedule: Schedule = "one-cycle"  # up for a quarter of the steps (Smith and Topin, arXiv:1708.07120), or cosine
    weight_decay: float = 5e-4  # not on biases and norms
    label_smoothing: float = 0.05
    distill: float = 0.5  # the teacher's share of the loss (Hinton et al., arXiv:1503.02531), where there is a teacher
    temperature: float = 4.0
    features: float = 0.0  # weight of the distance to the teacher's maps (FitNets: Romero et al., arXiv:1412.6550)
    sparsity: float = 0.0  # weight of the channels' norms (`GroupSparsity`), to empty some before a cut
    mixup: float = 0.0  # alpha of the Beta distribution (Zhang et al., arXiv:1710.09412)
    ema: float = 0.0  # decay of the average of the weights that is kept in their place, such as 0.999
    augment: str = "auto"  # of images: crops, mirrored; none, flip, crop or package.module:function
    clip: float = 1.0  # largest norm of the gradients: else a cut network flies off where the rate rises fast
    precision: TrainingPrecision = "auto"  # bfloat16 where the device gains by it
    channels_last: bool = False
    compile: bool = False  # torch.compile; needs a compiler
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (("epochs", 1, 10**6), ("batch", 1, 1 << 20), ("seed", 0, 1 << 63)):
            if not least <= getattr(self, name) <= most:
                raise UsageError(f"A recipe's {name} is from {least} to {most:,}; got {getattr(self, name)}.")
        for name in ("peak_lr", "temperature"):
            if not 0 < getattr(self, name) <= LARGEST:
                raise UsageError(f"A recipe's {name} is above 0, and at most {LARGEST:,}; got {getattr(self, name)}.")
        for name in ("weight_decay", "features", "sparsity", "mixup", "clip"):
            if not 0 <= getattr(self, name) <= LARGEST:
                raise UsageError(f"A recipe's {name} is from 0 to {LARGEST:,}; got {getattr(self, name)}.")
        for name in ("label_smoothing", "distill", "ema"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"A recipe's {name} is from 0 to 1; got {getattr(self, name)}.")
        for name, known in (("schedule", get_args(Schedule)), ("precision", get_args(TrainingPrecision))):
            if getattr(self, name) not in known:
                raise UsageError(f"A recipe's {name} is {' or '.join(known)}; got {getattr(self, name)!r}.")


def peak_lr(fixed_norms: bool) -> float:
    """The default learning rate, a gentler one for networks whose norms do not follow their weights."""
    return FIXED_NORMS_LR if fixed_norms else Recipe().peak_lr
