"""What is done to a layer's weights, beside its widths, so that an NPU stores or computes less of them."""

from padless.treat.treat import Treated, treat
from padless.treat.treatment import Treatment

__all__ = ["Treated", "Treatment", "treat"]
