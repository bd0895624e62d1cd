"""Arm's compiler for Ethos-U, asked what networks cost.

The numbers are the compiler's static estimate, not silicon. They depend on the system configuration and the memory
mode, which every answer names, and on the weights, which are entropy-coded. The compiler runs in a process of its own
(`vela_worker.py`): a malformed network ends that process, not this one.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from configparser import ConfigParser
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from torch import nn

from padless.cost.cycles import Cycles
from padless.cost.lower import Unlowered, lower, lower_layer
from padless.errors import OracleError, UsageError, missing_extra, suggest
from padless.graph import Graph, Layer
from padless.hardware import Target

WORKER = Path(__file__).with_name("vela_worker.py")
Shape = tuple[object, ...]  # all that a layer alone is compiled from


class Vela:
    """One accelerator in one system. Use it in a `with`, or `close` it.

    Raises UsageError where the package is missing, the target is none of Arm's, or Vela does not know the system
    configuration or memory mode.
    """

    def __init__(
        self,
        target: Target,
        *,
        system_config: str | None = None,
        memory_mode: str | None = None,
        timeout: float = 600,
    ) -> None:
        if target.vela is None:
            raise UsageError(f"Vela compiles for Arm Ethos-U; {target.id} is none. Try ethos-u55-256 or ethos-u85-512.")
        try:
            release = version("ethos-u-vela")
        except PackageNotFoundError as error:
            raise missing_extra("ethos-u-vela", "vela", f"Counting cycles for {target.id}") from error
        chip, mode = system_config or target.vela.system_config, memory_mode or target.vela.memory_mode
        self._settings = {
            "accelerator": target.vela.accelerator,
            "system_config": _known("System_Config", chip, "system configuration"),
            "memory_mode": _known("Memory_Mode", mode, "memory mode"),
        }
        self._alone: dict[Shape, Cycles] = {}
        self._timeout = timeout
        self._worker: subprocess.Popen[bytes] | None = None
        self._printed: IO[bytes] | None = None
        self.description = ", ".join([f"Arm Vela {release}", *self._settings.values()])

    def __enter__(self) -> "Vela":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def network(self, graph: Graph, model: nn.Module) -> Cycles:
        """The compiler's estimate for the whole network with its own weights in INT8.

        Where an operator has no lowering, the sum over the layers, each alone, with `whole` false and a note.
        """
        try:
            lowered = lower(graph, model)
        except Unlowered as reason:
            alone = self.layers(graph.layers)
            return Cycles(
                total=sum(c.total for c in alone),
                npu=sum(c.npu for c in alone),
                oracle=f"{self.description}, a sum over layers",
                operators={layer.name: c.total for layer, c in zip(graph.layers, alone, strict=True)},
                peak_sram_bytes=max((c.peak_sram_bytes or 0 for c in alone), default=0),
                cpu_operators=sum(c.cpu_operators for c in alone),
                whole=False,
                note=f"The network could not be compiled as a whole: {reason}. Its layers were, alone, "
                "with random weights; what lies between them is not counted.",
            )
        return self.compile(lowered.tflite, "the network", lowered.operators)

    def layers(self, layers: Sequence[Layer]) -> list[Cycles]:
        """The estimate for each layer alone, with seeded random weights; equal shapes are asked once."""
        for layer in layers:
            if _shape(layer) not in self._alone:
                try:
                    alone = lower_layer(layer)
                except Unlowered as error:
                    raise OracleError(
                        f"Vela cannot be asked about layer {layer.name}: {error} here yet. "
                        "A target such as unit:16 counts its MACs."
                    ) from error
                self._alone[_shape(layer)] = self.compile(alone, f"layer {layer.name}")
        return [self._alone[_shape(layer)] for layer in layers]

    def compile(self, tflite: bytes, what: str, names: Sequence[str] = ()) -> Cycles:
        """The estimate for a TFLite file; `names` are its operators' in the answer.

        Raises OracleError, naming `what`, when the compiler fails or crashes, and UsageError where the accelerator,
        the system configuration and the memory mode do not go together.
        """
        reply = self._ask(tflite, what)
        if "refused" in reply:
            raise UsageError(f"{self.description} do not go together: {reply['refused']}")
        if "error" in reply:
            raise OracleError(f"Vela could not compile {what}: {reply['error']}")
        operators: dict[str, int] = {}
        for place, cycles in reply["operators"]:
            name = names[place] if place is not None and place < len(names) else "other"
            operators[name] = operators.get(name, 0) + cycles
        return Cycles(
            total=reply["total"],
            npu=reply["npu"],
            oracle=self.description,
            operators=operators,
            peak_sram_bytes=reply["peak_sram_bytes"],
            cpu_operators=reply["cpu_operators"],
            note=f"{reply['cpu_operators']} operators fall back to the CPU." if reply["cpu_operators"] else "",
        )

    def close(self) -> None:
        """End the worker."""
        if self._worker:
            self._worker.kill()
            self._worker.communicate()
            self._worker = None
        if self._printed:
            self._printed.close()
            self._printed = None

    def _ask(self, tflite: bytes, what: str) -> dict[str, Any]:
        worker = self._start()
        assert worker.stdin is not None
        assert worker.stdout is not None
        header = json.dumps({**self._settings, "bytes": len(tflite)}).encode() + b"\n"
        started = time.monotonic()
        watchdog = threading.Timer(self._timeout, worker.kill)  # waiting on a pipe has no time limit on every system
        watchdog.start()
        try:
            worker.stdin.write(header + tflite)
            worker.stdin.flush()
            reply = worker.stdout.readline()
        except OSError:
            reply = b""
        finally:
            watchdog.cancel()
        if not reply:
            said = self._last_words()
            self.close()
            if time.monotonic() - started >= self._timeout:
                raise OracleError(f"Vela took more than {self._timeout:g} s for {what}; it was stopped.")
            raise OracleError(f"Vela crashed on {what}{said}.")
        return dict(json.loads(reply))

    def _start(self) -> subprocess.Popen[bytes]:
        if self._worker is None or self._worker.poll() is not None:
            self.close()
            self._printed = tempfile.TemporaryFile()  # noqa: SIM115  (`close` closes it)
            self._worker = subprocess.Popen(
                [sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._printed
            )
        return self._worker

    def _last_words(self) -> str:
        assert self._printed
        self._printed.seek(0)
        lines = self._printed.read().decode(errors="replace").strip().splitlines()
        return f" ({lines[-1]})" if lines else ""


def _known(section: str, name: str, what: str) -> str:
    """`name`, if Vela's own configuration file has such a section."""
    spec = find_spec("ethosu")
    places = list(spec.submodule_search_locations or []) if spec else []
    config = ConfigParser()
    config.read(Path(place) / "config_files" / "Arm" / "vela.ini" for place in places)
    names = [s.partition(".")[2] for s in config.sections() if s.startswith(f"{section}.")]
    if name not in names:
        raise UsageError(f"Vela knows no {what} {name!r}. {suggest(name, names) or 'Known: ' + ', '.join(names)}")
    return name


def _shape(ly: Layer) -> Shape:
    return (ly.kind, ly.c_in, ly.c_out, ly.groups, ly.kernel, ly.stride, ly.dilation, ly.in_hw, ly.out_hw)
