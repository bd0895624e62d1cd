"""The accuracy back without training: closed-form reconstruction, batch norm re-estimation; the same for treated weights."""

from padless.recover.batchnorm import reestimate_batchnorm
from padless.recover.recovery import METHODS, Recovery, recover
from padless.recover.treating import Treated, treat

__all__ = ["METHODS", "Recovery", "Treated", "recover", "reestimate_batchnorm", "treat"]
