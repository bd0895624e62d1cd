"""A user's own program, such as one that measures on a board: `./measure {h} {w} {cin} {cout} {k}`.

It is run once a layer, one at a time, without a shell, and prints the layer's cycles as the last word of its output.
"""

import shlex
import subprocess
from collections.abc import Iterator, Sequence

from padless.cost.cycles import Answer, Source
from padless.cost.oracle import Oracle
from padless.errors import OracleError, UsageError
from padless.graph import LayerShape
from padless.hardware import Target

FIELDS = ("h", "w", "cin", "cout", "k", "stride", "groups")


class Command(Oracle):
    """Raises UsageError where the command names no widths, or something else than its fields.

    Answers are kept on disk by the command's text: an empty PADLESS_CACHE measures anew.
    """

    def __init__(self, target: Target, argument: str = "", *, timeout: float = 600) -> None:
        try:
            self._words = shlex.split(argument)
            [word.format(**dict.fromkeys(FIELDS, 1)) for word in self._words]
        except (KeyError, IndexError, ValueError) as error:
            raise UsageError(
                f"Cannot read the command {argument!r} ({type(error).__name__}: {error}). "
                f"It may hold {', '.join('{' + name + '}' for name in FIELDS)}."
            ) from error
        if "{cin}" not in argument or "{cout}" not in argument:
            raise UsageError(f"The command {argument!r} names no widths. Write {{cin}} and {{cout}} into it.")
        self._timeout = timeout
        self.source = Source(oracle="command", device=argument)
        self.key = f"command {argument}"

    def __call__(self, shapes: Sequence[LayerShape]) -> Iterator[Answer]:
        for shape in shapes:
            cycles = self._run(shape)
            yield Answer(source=self.source, total=cycles, npu=cycles)

    def _run(self, shape: LayerShape) -> int:
        if shape.three_dimensional or len({*shape.kernel}) > 1 or len({*shape.stride}) > 1 or shape.transposed:
            raise OracleError(
                f"A command is asked about square kernels and strides in two dimensions only, not about {shape}."
            )
        values = (*shape.in_hw, shape.c_in, shape.c_out, shape.kernel[0], shape.stride[0], shape.groups)
        words = [word.format(**dict(zip(FIELDS, values, strict=True))) for word in self._words]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=self._timeout)
        except OSError as error:
            raise OracleError(f"Cannot run {words[0]}: {error.strerror}.") from error
        except subprocess.TimeoutExpired as error:
            raise OracleError(f"{shlex.join(words)} took more than {self._timeout:g} s.") from error
        words_printed = done.stdout.split()
        try:
            if done.returncode:
                raise ValueError
            return round(float(words_printed[-1]))
        except (ValueError, IndexError, OverflowError):
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["nothing"]
            raise OracleError(
                f"{shlex.join(words)} ended with code {done.returncode} and printed {last[0]!r}; a number was expected."
            ) from None
