"""What each ONNX operator computes: importing this registers all of them."""

from padless.onnx.operators import arithmetic, layers, movement, norms, pointwise, pools, recurrent, reductions, resize
from padless.onnx.operators.table import OPERATORS, Operator, operator

ROOMS = (layers, norms, pointwise, arithmetic, pools, reductions, movement, resize, recurrent)

__all__ = ["OPERATORS", "ROOMS", "Operator", "operator"]
