"""Graph + channels to keep -> a smaller model, proven equal to the masked one."""

from padless.cut.equivalence import awakened, equivalence_error
from padless.cut.slice import cut

__all__ = ["awakened", "cut", "equivalence_error"]
