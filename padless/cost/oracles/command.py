"""A user's own program, such as one that measures on a board: `./measure {h} {w} {cin} {cout} {k} {stride} {groups}`.

It is run once a layer, one at a time, without a shell and without input, and prints the layer's cycles as the last word of
its output. What it starts ends with it.
"""

import shlex
from collections.abc import Iterator, Sequence
from string import Formatter

from padless.cost.cycles import Answer, Source
from padless.cost.oracle import MOST, Oracle
from padless.errors import LayersError, OracleError, UsageError
from padless.graph import LayerShape
from padless.hardware import Target
from padless.pool import patience
from padless.pool.command import run_program

# Of the input map (h, w), the output map (oh, ow) and the kernel; {k}, {stride}, {dilation} where both sides are equal.
FIELDS = ("h", "w", "cin", "cout", "k", "kh", "kw", "stride", "sh", "sw", "dilation", "dh", "dw", "groups", "oh", "ow")


class Command(Oracle):
    """Raises UsageError where the command names no widths, or something else than its fields.

    A layer that differs from others by what the command does not say, such as its groups, is refused (LayersError) before
    anything is run. Answers are kept on disk by the command's text: an empty PADLESS_CACHE measures anew.
    """

    def __init__(self, target: Target, argument: str = "", *, timeout: float | None = None) -> None:
        try:
            self._words = shlex.split(argument)
            fields = [field for word in self._words for field in Formatter().parse(word) if field[1] is not None]
            for _, name, style, conversion in fields:
                if name not in FIELDS or style or conversion:
                    raise KeyError(name)
            self._said = {str(name) for _, name, _, _ in fields}
        except (KeyError, ValueError) as error:
            raise UsageError(
                f"Cannot read the command {argument!r} ({type(error).__name__}: {error}). "
                f"It may hold {', '.join('{' + name + '}' for name in FIELDS)}."
            ) from error
        if not {"cin", "cout"} <= self._said:
            raise UsageError(f"The command {argument!r} names no widths. Write {{cin}} and {{cout}} into it.")
        self._timeout = patience.get() if timeout is None else timeout
        self.source = Source(oracle="command", device=argument)
        self.key = f"command {argument}"

    def __call__(self, shapes: Sequence[LayerShape]) -> Iterator[Answer]:
        untold = {shape: f"{shape}: {why}" for shape in shapes if (why := self._untold(shape))}
        if untold:
            raise LayersError(
                f"The command {self.source.device!r} cannot be asked about {len(untold)} of {len(shapes)} layers",
                untold,
                "Without that it would measure another layer.",
            )
        return self._answers(shapes)

    def _answers(self, shapes: Sequence[LayerShape]) -> Iterator[Answer]:
        for shape in shapes:
            cycles = self._run(shape)
            yield Answer(source=self.source, total=cycles, npu=cycles)

    def _untold(self, shape: LayerShape) -> str:
        """What of the layer the command does not say, so that another one would be measured; empty where it says all."""
        if shape.three_dimensional or shape.transposed:
            return "only layers in two dimensions that are not transposed are measured"
        for whole, rows, columns, (down, across), usual in (
            ("k", "kh", "kw", shape.kernel, None),
            ("stride", "sh", "sw", shape.stride, 1),
            ("dilation", "dh", "dw", shape.dilation, 1),
        ):
            if {rows, columns} <= self._said or (down == across and (whole in self._said or usual in (None, down))):
                continue
            return f"write {{{whole}}} into it" if down == across else f"write {{{rows}}} and {{{columns}}} into it"
        return "" if shape.groups == 1 or "groups" in self._said else "write {groups} into it"

    def _run(self, shape: LayerShape) -> int:
        values = (
            *shape.in_hw, shape.c_in, shape.c_out, shape.kernel[0], *shape.kernel, shape.stride[0], *shape.stride,
            shape.dilation[0], *shape.dilation, shape.groups, *shape.out_hw,
        )  # fmt: skip
        words = [word.format(**dict(zip(FIELDS, values, strict=True))) for word in self._words]
        try:
            done = run_program(words, self._timeout)
        except (OSError, ValueError) as error:
            raise OracleError(f"Cannot run {words[0]}: {getattr(error, 'strerror', error)}.") from error
        if done.stopped:
            raise OracleError(f"{shlex.join(words)} {done.stopped}; it was stopped.")
        words_printed = done.out.split()
        try:
            if done.code:
                raise ValueError
            cycles = round(float(words_printed[-1]))
            if not 0 <= cycles < MOST:
                raise ValueError
            return cycles
        except (ValueError, IndexError, OverflowError):
            last = (done.err or done.out).strip().splitlines()[-1:] or ["nothing"]
            raise OracleError(
                f"{shlex.join(words)} ended with code {done.code} and printed {last[0]!r}; a number from 0 up was "
                "expected."
            ) from None
