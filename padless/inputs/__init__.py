"""What the command line starts from: models by name, images by place."""

from padless.inputs.images import Images, as_images, load_images
from padless.inputs.shapes import image_shape, inputs_of, parse_inputs, shapes_of
from padless.inputs.zoo import LoadedModel, load_model, load_weights, weights_digest

__all__ = [
    "Images", "LoadedModel", "as_images", "image_shape", "inputs_of", "load_images", "load_model", "load_weights",
    "parse_inputs", "shapes_of", "weights_digest",
]  # fmt: skip
