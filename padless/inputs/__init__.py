"""What the command line starts from: models by name, images by place."""

from padless.inputs.images import Images, Measured, as_images, load_images
from padless.inputs.preprocess import Preprocess
from padless.inputs.shapes import inputs_of, parse_inputs, sample_shape, shapes_of
from padless.inputs.zoo import LoadedModel, load_model, load_weights, weights_bytes, weights_digest

__all__ = [
    "Images", "LoadedModel", "Measured", "Preprocess", "as_images", "inputs_of", "load_images", "load_model", "load_weights",
    "parse_inputs", "sample_shape", "shapes_of", "weights_bytes", "weights_digest",
]  # fmt: skip
