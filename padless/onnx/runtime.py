"""Files run in ONNX Runtime."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from padless.errors import PadlessError
from padless.onnx.packages import package
from padless.progress import bar

Arrays = npt.NDArray[Any]
Column = Arrays | Sequence[Arrays]  # an input's values, one array for each run


def run_onnx(file: Path, columns: Sequence[Column], title: str) -> list[list[Arrays]]:
    """For each output its values, one for each run. Raises PadlessError where it cannot be run."""
    opened, answers = session(file), []
    with bar(title, len(columns[0])) as shown:
        for row in rows([given.name for given in opened.get_inputs()], columns):
            try:
                answers.append(opened.run(None, row))
            except Exception as error:  # of classes that it does not name
                raise _refused(file, error) from error
            shown.advance()
    return [list(column) for column in zip(*answers, strict=True)]


def rows(names: Sequence[str], columns: Sequence[Column]) -> Iterator[dict[str, Arrays]]:
    """What each run is given, by the names of the inputs."""
    for row in zip(*columns, strict=True):
        yield {name: np.ascontiguousarray(array) for name, array in zip(names, row, strict=True)}


def session(file: Path) -> Any:
    """The opened file. Raises PadlessError where ONNX Runtime has no kernel for it."""
    runtime = package("onnxruntime", "Running ONNX files")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # it is said in the error
    options.add_session_config_entry("session.x64quantprecision", "1")  # else INT8 saturates on processors without VNNI
    try:
        return runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of classes that it does not name
        raise _refused(file, error) from error


def _refused(file: Path, error: Exception) -> PadlessError:
    return PadlessError(
        f"ONNX Runtime cannot run {file.name}, so it could not be checked and is not written: {str(error).splitlines()[0]}\n"
        "If it has no kernel of a type, export model.float() and float32 inputs, or to .pt2."
    )
