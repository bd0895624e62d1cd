"""The small network handed over: ONNX, a PyTorch program, INT8."""

from padless.deploy.export import FORMATS, export
from padless.deploy.int8 import Int8

__all__ = ["FORMATS", "Int8", "export"]
