"""ONNX files: read as a module that interprets the graph, and a cut module written back into the same graph."""

from padless.onnx.loading import example_inputs, load_onnx
from padless.onnx.network import OnnxNet
from padless.onnx.writing import data_file, tolerance_of, write_back

__all__ = ["OnnxNet", "data_file", "example_inputs", "load_onnx", "tolerance_of", "write_back"]
