"""Write `onnx-operators.md` from the docstrings of the ONNX operators: `python -m tools.pages.onnx_operators`."""

import inspect
from collections.abc import Callable

from padless.onnx.files import OPSETS
from padless.onnx.operators import OPERATORS, ROOMS
from tools.pages import DOCS

PAGE = DOCS / "onnx-operators.md"
INTRODUCTION = f"""# Supported ONNX operators

Written by `python -m tools.pages.onnx_operators` from the docstrings of `padless/onnx/operators/`; a test fails when it is
stale.

`padless prune model.onnx` (or `padless.load_onnx`) reads files of opset {OPSETS[0]} to {OPSETS[-1]} and writes the smaller
network back into the same graph. {len(OPERATORS)} operators have a form; all but a few are compared with the ONNX project's
own cases, the others with ONNX Runtime. Whole numbers (`Shape`, and arithmetic on it) are computed beside the tensors, so
that shapes worked out in the graph follow a cut.

What has no form is refused by operator and node: custom domains, quantised operators (a file between QuantizeLinear and
DequantizeLinear nodes can be folded back with `--dequantise`), `If` unless its condition is a constant, and `Loop`
unless it runs a constant number of times, up to 64 (then it is unrolled).
`--until TENSOR` cuts the network off in front of it, such as the post-processing of a detector.
"""


def page() -> str:
    """The whole page."""
    by_form: dict[Callable[..., object], list[str]] = {}
    for name, operator in OPERATORS.items():
        assert operator.form is not None
        by_form.setdefault(operator.form, []).append(name)
    parts = [INTRODUCTION]
    for room in ROOMS:
        lines = [f"## {str(room.__doc__).splitlines()[0]}", "", "| operators | what is computed |", "|---|---|"]
        for form, names in by_form.items():
            if form.__module__ == room.__name__:
                said = " ".join((inspect.getdoc(form) or "").split())
                lines.append(f"| {', '.join(f'`{n}`' for n in names)} | {said} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def write() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
