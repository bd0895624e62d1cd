"""Fine-tuning: distillation from the dense network, on any number of devices, resumable at any moment."""

from padless.train.checkpoint import Checkpoints
from padless.train.evaluate import against, check_trainable, evaluate
from padless.train.fabric import make_fabric
from padless.train.loop import LOG, History, finetune
from padless.train.recipe import Recipe, peak_lr

__all__ = [
    "LOG",
    "Checkpoints",
    "History",
    "Recipe",
    "against",
    "check_trainable",
    "evaluate",
    "finetune",
    "make_fabric",
    "peak_lr",
]
