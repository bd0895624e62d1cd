"""The small network handed over as a file: INT8 TFLite and ONNX, ONNX, a PyTorch program; and INT8 simulated."""

from padless.deploy.export import FORMATS, export
from padless.deploy.exported import Exported
from padless.deploy.int8 import Int8
from padless.deploy.tflite import Quantisation

__all__ = ["FORMATS", "Exported", "Int8", "Quantisation", "export"]
