"""What is done to a layer's weights, beside its widths, so that an NPU stores or computes less of them.

Treatments by name, which layers may have which, and weights that make up for one another under one. `padless.treat` brings a
whole network to them (`padless.recover.treating`).
"""

from padless.treat.treatment import Treatment

__all__ = ["Treatment"]
