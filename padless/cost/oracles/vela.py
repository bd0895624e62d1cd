"""Arm's compiler for Ethos-U, asked what layers and networks cost.

The numbers are the compiler's static estimate, not silicon. They depend on the system configuration and the memory
mode, which every answer names, and on the weights, which are entropy-coded. The compiler runs in processes of its own
(`workers/ask_vela.py`): a malformed network ends that process, not this one.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from torch import nn

from padless.cost.cache import Cache, key_of
from padless.cost.cycles import Answer, Cycles, Source
from padless.cost.oracle import Oracle
from padless.errors import NotWholeError, OracleError, UsageError, missing_extra, suggest
from padless.files import digest_of_code
from padless.graph import Graph, LayerShape
from padless.hardware import Target
from padless.hardware.tables import System
from padless.hardware.target import BOARDS, targets
from padless.hardware.vela_ini import CALLED, Kind, VelaIni
from padless.pool import Pool, Reply, Request
from padless.tflite import Unlowered, lower, lower_layer, nominal

PACKAGE = Path(__file__).parents[2]
WORKER = PACKAGE / "cost" / "workers" / "ask_vela.py"
# What writes the files and reads the answers, and so changes them.
CODE = ("cost/workers/ask_vela.py", "cost/oracles/vela.py", "tflite", "treat")


class Vela(Oracle):
    """One accelerator in one system. Use it in a `with`, or `close` it.

    Raises UsageError where the package is missing, the target is none of Arm's or not priced in INT8, or Vela does not
    know the system configuration or memory mode.
    """

    batch_of_one = True
    systems = True
    compiles = True
    treats = True
    portable = True

    def __init__(
        self, target: Target, argument: str = "", *, timeout: float | None = None, workers: int | None = None
    ) -> None:
        if target.vela is None:
            raise UsageError(f"Vela compiles for Arm Ethos-U; {target.id} is none. Try ethos-u55-256 or ethos-u85-512.")
        if target.precision != "int8" or argument:
            what = f"an argument {argument!r}" if argument else f"precision {target.precision}"
            raise UsageError(f"Vela is asked about INT8 networks and nothing else; {what} was given.")
        try:
            release = version("ethos-u-vela")
        except PackageNotFoundError as error:
            raise missing_extra("ethos-u-vela", "vela", f"Counting cycles for {target.id}") from error
        chip, mode = target.vela.system_config, target.vela.memory_mode
        ini = target.vela_ini or _known(target, chip, mode)
        self._settings = {
            "accelerator": target.vela.accelerator,
            "system_config": chip,
            "memory_mode": mode,
            "config": ini.text,
        }
        self.source = Source(
            oracle="Arm Vela",
            version=release,
            device=target.vela.accelerator,
            system=f"{chip} (ini {ini.digest})" if target.vela_ini else chip,
            memory_mode=mode,
        )
        self.key = key_of(asdict(self.source), digest_of_code(*CODE), self._settings["config"])
        self.cache = Cache()
        self.pool = Pool(WORKER, "Vela", timeout=timeout, workers=workers)

    def close(self) -> None:
        """End the workers."""
        self.pool.close()
        self.cache.close()

    def __call__(self, shapes: Sequence[LayerShape]) -> Iterator[Answer | OracleError]:
        """Each layer alone, with seeded random weights; an error for one that Vela cannot compile alone."""

        def request(shape: LayerShape) -> Request:
            try:
                return self._settings, lower_layer(shape)
            except Unlowered as error:
                raise OracleError(
                    f"Vela cannot be asked about it: {error}. A target such as unit:16 counts its MACs."
                ) from error

        for reply in self.pool.map(request, shapes, str):
            try:
                self._check(reply, "it")
            except OracleError as error:
                yield error
                continue
            yield Answer(
                source=self.source,
                total=reply["total"],
                npu=reply["npu"],
                peak_sram_bytes=reply["peak_sram_bytes"],
                flash_bytes=reply["flash_bytes"],
                cpu_operators=len(reply["cpu_operators"]),
            )

    def network(self, graph: Graph, model: nn.Module) -> Cycles:
        """The whole network as INT8 TFLite with the model's own weights."""
        try:
            lowered = lower(graph, model)
            tflite = nominal(lowered)
        except Unlowered as reason:
            raise NotWholeError(
                f"The network could not be compiled as a whole: {reason}. Its layers were, alone, with random weights; "
                "what lies between them is not counted."
            ) from reason
        return self.compile(tflite, "the network", lowered.operators)

    def compile(self, tflite: bytes, what: str, names: Sequence[str] = (), out: Path | None = None) -> Cycles:
        """The estimate for a TFLite file; `names` are its operators' in the answer. `out` is where the compiled file goes.

        Raises OracleError, naming `what`, when the compiler fails or crashes, and UsageError where the accelerator,
        the system configuration and the memory mode do not go together.
        """
        key = key_of(self.key, hashlib.sha256(tflite).hexdigest())
        reply = self.cache.get([key]).get(key) if out is None else None
        if reply is None:
            reply = self.pool.ask(({**self._settings, **({"out": str(out)} if out else {})}, tflite), what)
            self._check(reply, what)
            self.cache.put({key: reply})

        def name(place: int | None) -> str:
            return names[place] if place is not None and place < len(names) else "other"

        operators: dict[str, int] = {}
        computing: dict[str, int] = {}
        for place, cycles, npu in reply["operators"]:
            operators[name(place)] = operators.get(name(place), 0) + cycles
            computing[name(place)] = computing.get(name(place), 0) + npu
        fallback = [f"{kind} ({name(place)})" for kind, place in reply["cpu_operators"]]
        return Cycles(
            source=self.source,
            total=reply["total"],
            npu=reply["npu"],
            operators=operators,
            npu_operators=computing,
            peak_sram_bytes=reply["peak_sram_bytes"],
            flash_bytes=reply["flash_bytes"],
            cpu_operators=len(fallback),
            note=f"Vela leaves {len(fallback)} operators to the CPU, uncounted: {_few(fallback)}." if fallback else "",
        )

    def _check(self, reply: Reply, what: str) -> None:
        if "refused" in reply:
            raise UsageError(f"{self.source} do not go together: {reply['refused']}")
        if "error" in reply:
            raise OracleError(f"Vela could not compile {what}: {reply['error']}")


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _known(target: Target, system: str, memory_mode: str) -> VelaIni:
    """Vela's own configuration file and our boards, if they have these sections for the target."""
    spec = find_spec("ethosu")
    places = list(spec.submodule_search_locations or []) if spec else []
    arm = [Path(place) / "config_files" / "Arm" / "vela.ini" for place in places]
    ini, boards = VelaIni.together("Vela", [*arm, BOARDS]), VelaIni.read(BOARDS).names("System_Config")
    described = {name for name, stated in target.systems.items() if stated != System()}
    asked: tuple[tuple[Kind, str], ...] = (("System_Config", system), ("Memory_Mode", memory_mode))
    for kind, name in asked:
        names = [known for known in ini.names(kind) if known not in boards or known in described]
        if name not in names:
            owners = [other.id for other in targets() if name in boards and name in other.systems]
            hint = f"It is around {owners[0]}." if owners else suggest(name, names) or f"Known: {', '.join(names)}"
            raise UsageError(f"Vela knows no {CALLED[kind]} {name!r} for {target.id}. {hint}")
    return ini
