"""LiteRT in a process of its own, since it ends the process on scales that it cannot compute with.

A request names files; its payload is an npz of the inputs x0, x1, … [n, *shape in the file], real numbers. Results go to the
npz file that the request names as `out`.
"""

import io
from functools import lru_cache
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

LOWEST = -3e38  # what lies below is the border of a maximum, no number that was computed


@lru_cache(4)
def interpreter(file: str, keep: bool) -> Any:
    """Ready to run. With `keep` every tensor can be read afterwards, and nothing is fused.

    Its fast kernels (XNNPACK) take not every scale; then its own do the work.
    """
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        return opened(file, keep, plain if keep else OpResolverType.AUTO)
    except RuntimeError as error:
        if "Delegate" not in str(error):
            raise
        return opened(file, keep, plain)


def opened(file: str, keep: bool, kind: Any) -> Any:
    made = Interpreter(
        model_path=file, num_threads=1, experimental_preserve_all_tensors=keep, experimental_op_resolver_type=kind
    )
    made.allocate_tensors()
    return made


def real(detail: dict[str, Any], stored: Any) -> Any:
    """Real numbers of what a tensor stores."""
    scale, zero = detail["quantization"]
    return (stored.astype(np.float32) - zero) * np.float32(scale) if scale else stored


def stored(detail: dict[str, Any], array: Any) -> Any:
    """The other way round."""
    kind, (scale, zero) = detail["dtype"], detail["quantization"]
    if not scale:
        return array.astype(kind)
    limits = np.iinfo(kind)
    return np.clip(np.round(array / np.float32(scale)) + zero, limits.min, limits.max).astype(kind)


def run(made: Any, inputs: list[Any]) -> None:
    for detail, x in zip(made.get_input_details(), inputs, strict=True):
        made.set_tensor(detail["index"], stored(detail, x).reshape(detail["shape"]))
    made.invoke()


def samples(payload: bytes) -> list[list[Any]]:
    """The inputs of each run."""
    with np.load(io.BytesIO(payload)) as arrays:
        columns = [arrays[f"x{i}"] for i in range(len(arrays.files))]
    return [[column[n : n + 1] for column in columns] for n in range(len(columns[0]))]


def outputs(request: dict[str, Any], payload: bytes) -> dict[str, Any]:
    """What the file answers with."""
    made = interpreter(request["file"], False)
    answers: list[list[Any]] = []
    for inputs in samples(payload):
        run(made, inputs)
        answers.append([real(d, made.get_tensor(d["index"])) for d in made.get_output_details()])
    return {f"y{i}": np.stack(column) for i, column in enumerate(zip(*answers, strict=True))}


def extremes(request: dict[str, Any], payload: bytes) -> dict[str, Any]:
    """The least and the largest number in each of the tensors `indices`, and what the file answers with."""
    made, indices = interpreter(request["file"], True), request["indices"]
    low, high, answers = np.full(len(indices), np.inf), np.full(len(indices), -np.inf), []
    finite = np.ones(len(indices), bool)
    for inputs in samples(payload):
        run(made, inputs)
        for place, index in enumerate(indices):
            values = made.get_tensor(index)
            values = values[values > LOWEST] if values.size and values.min() < LOWEST else values
            if values.size:
                low[place], high[place] = min(low[place], values.min()), max(high[place], values.max())
                finite[place] &= bool(np.isfinite(values.min()) and np.isfinite(values.max()))
        answers.append([made.get_tensor(d["index"]).copy() for d in made.get_output_details()])
    named = {f"y{i}": np.stack(column) for i, column in enumerate(zip(*answers, strict=True))}
    return {"low": low, "high": high, "finite": finite, **named}


def counts(request: dict[str, Any], payload: bytes) -> dict[str, Any]:
    """For each tensor how many of its numbers lie in each of equal steps from `low` to `high`; zeros are not counted."""
    made, bins = interpreter(request["file"], True), request["bins"]
    spans = list(zip(request["indices"], request["low"], request["high"], strict=True))
    total = np.zeros((len(spans), bins), np.int64)
    for inputs in samples(payload):
        run(made, inputs)
        for place, (index, low, high) in enumerate(spans):
            if high > low:
                values = made.get_tensor(index).ravel()
                steps = (values[values != 0].astype(np.float64) - low) * (bins / (high - low))
                total[place] += np.bincount(np.clip(steps, 0, bins - 1).astype(np.int64), minlength=bins)
    return {"counts": total}


def noise(request: dict[str, Any], payload: bytes) -> dict[str, Any]:
    """For each of the tensors `indices` the sum of squares in `file`, and that of the difference in `other`."""
    reference, other = interpreter(request["file"], True), interpreter(request["other"], True)
    indices, details = request["indices"], {d["index"]: d for d in other.get_tensor_details()}
    signal, error = np.zeros(len(indices)), np.zeros(len(indices))
    for inputs in samples(payload):
        run(reference, inputs)
        run(other, inputs)
        for place, index in enumerate(indices):
            wanted = reference.get_tensor(index).astype(np.float64)
            wanted = np.where(wanted > LOWEST, wanted, 0)
            got = real(details[index], other.get_tensor(index))
            signal[place] += float((wanted**2).sum())
            error[place] += float(((got - wanted)[wanted != 0] ** 2).sum())
    return {"signal": signal, "error": error}


KINDS = {"outputs": outputs, "extremes": extremes, "counts": counts, "noise": noise}


def answer(request: dict[str, Any], payload: bytes) -> dict[str, object]:
    """Results of one kind in an npz file."""
    np.savez(request["out"], **KINDS[request["kind"]](request, payload))
    return {}
