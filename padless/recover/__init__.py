"""The accuracy back: closed-form reconstruction, batch norm re-estimation, fine-tuning."""

from padless.recover.batchnorm import reestimate_batchnorm
from padless.recover.finetune import evaluate, finetune
from padless.recover.recovery import METHODS, Recovery, recover

__all__ = ["METHODS", "Recovery", "evaluate", "finetune", "recover", "reestimate_batchnorm"]
