"""ONNX files: read as a module that interprets the graph, and a cut module written back into the same graph."""

from padless.onnx.loading import Reading, Shapes, load_onnx
from padless.onnx.network import OnnxNet, example_inputs
from padless.onnx.writing import data_file, write_back, write_graph


def file_digest(model: object) -> str:
    """The digest of the ONNX file that a network was read from; empty for another network."""
    return model.source.digest if isinstance(model, OnnxNet) else ""


__all__ = [
    "OnnxNet",
    "Reading",
    "Shapes",
    "data_file",
    "example_inputs",
    "file_digest",
    "load_onnx",
    "write_back",
    "write_graph",
]
