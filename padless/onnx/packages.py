"""The optional packages behind ONNX files, imported where they are needed."""

import importlib
from typing import Any

from padless.errors import missing_extra


def package(name: str, need: str = "Reading ONNX files") -> Any:
    """The module of that name, for this need. Raises UsageError, with the extra to install, where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise missing_extra(str(error.name), "onnx", need) from error
