"""The optional packages behind ONNX files, imported where they are needed."""

import importlib
from typing import Any

from padless.errors import missing_extra


def package(name: str) -> Any:
    """The module of that name. Raises UsageError, with the extra to install, where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise missing_extra(str(error.name), "onnx", "Reading ONNX files") from error
