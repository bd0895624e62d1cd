"""The accuracy back: batch norm re-estimation and fine-tuning."""

from padless.recover.batchnorm import recover
from padless.recover.finetune import evaluate, finetune

__all__ = ["evaluate", "finetune", "recover"]
