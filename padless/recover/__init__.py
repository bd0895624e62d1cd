"""The accuracy back without training: closed-form reconstruction, batch norm re-estimation."""

from padless.recover.batchnorm import reestimate_batchnorm
from padless.recover.recovery import METHODS, Recovery, recover

__all__ = ["METHODS", "Recovery", "recover", "reestimate_batchnorm"]
