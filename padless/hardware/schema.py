"""What a target file may say. `docs/target.schema.json` is written from `Target`."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, PrivateAttr, model_validator

from padless.errors import UsageError, suggest
from padless.hardware.facts import Fact, look_up, problems
from padless.hardware.tables import Compute, Limits, Memory, Precision, System, Table, Units, VelaSettings, Weights
from padless.hardware.vela_ini import VelaIni

if TYPE_CHECKING:  # the graph needs torch, which takes seconds to import, and targets do not
    from padless.graph import LayerShape


class Target(Table):
    """One NPU. What is absent is not known, and listed in `unknown`."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="padless target")

    version: Literal[1] = Field(alias="schema", description="The version of this schema.")
    id: str
    name: str
    vendor: str
    note: str = Field(default="", description="What a reader should know before trusting the numbers.")
    unknown: tuple[str, ...] = Field(default=(), description="Dotted paths of what no public source states.")
    precision: Precision = Field(default="int8", description="The one that is priced; ID@fp16 asks for another.")
    compute: dict[Precision, Compute] = Field(description="By precision: int8, int16, fp16, int4, int8w4 and so on.")
    memory: Memory = Memory()
    weights: Weights = Weights()
    systems: dict[str, System] = Field(default={}, alias="system", description="The first is the default.")
    limits: Limits = Limits()
    vela: VelaSettings | None = None
    facts: tuple[Fact, ...] = Field(default=(), alias="fact")
    _variant: dict[str, str] = PrivateAttr(default_factory=dict)
    _vela_ini: VelaIni | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.precision not in self.compute:
            raise ValueError(f"precision is {self.precision!r}, but compute has {', '.join(self.compute) or 'nothing'}")
        complaints = problems(self._stated(), self.facts, self.unknown)
        int8 = self.compute.get("int8")
        for name, system in self.systems.items():
            if system.tops and system.clock_hz and int8 and int8.macs_per_cycle:
                tops = 2e-12 * int8.macs_per_cycle * system.clock_hz
                if abs(tops / system.tops - 1) > 0.025:
                    complaints.append(f"system.{name}.tops: is {system.tops}, but MACs and clock make {tops:.3g}")
        if complaints:
            raise ValueError("\n  ".join(complaints))
        return self

    def _stated(self) -> dict[str, JsonValue]:
        """What the file says, but for the facts."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"version", "facts"})

    def value_of(self, fact: Fact) -> object:
        """What a fact is about: the value that it repeats, or the field's own."""
        return look_up(self._stated(), fact.field) if fact.value is None else fact.value

    def at(
        self,
        precision: str | None = None,
        *,
        system: str | None = None,
        memory_mode: str | None = None,
        vela_config: str | Path | None = None,
    ) -> "Target":
        """This target in another of its precisions, around it another system, its memories used in another mode.

        `vela_config` is an .ini file of one's own for Arm's compiler (or its text): system and memory mode are then sections
        of it, the target's own or the only ones by default. What is left out stays. Without such a file, whether a compiler
        knows a system or a memory mode is its own affair. Raises UsageError where the target has no such precision, or
        neither systems nor a compiler that could know them, and for a file that has no such sections.
        """
        changed = self
        if precision is not None and precision != self.precision:
            if precision not in self.compute:
                raise UsageError(
                    f"{self.id} does not say how it computes {precision}. Known: {', '.join(self.compute)}."
                )
            changed = self.model_copy(update={"precision": precision, "id": f"{self.id}@{precision}"})
        ini = self._vela_ini if vela_config is None else VelaIni.read(vela_config)
        if ini and (system, memory_mode, vela_config) != (None, None, None):
            return changed._in_ini(ini, system, memory_mode)
        if system is not None:
            changed = changed._in_system(system)
        if memory_mode is not None:
            changed = changed._in_memory_mode(memory_mode)
        return changed

    def _in_ini(self, ini: VelaIni, system: str | None, memory_mode: str | None) -> "Target":
        if not self.vela:
            raise UsageError(f"{self.id} is not compiled for by Vela, whose configuration {ini.where} is.")
        chosen = ini.pick("System_Config", system, self.vela.system_config)
        mode = ini.pick("Memory_Mode", memory_mode, self.vela.memory_mode)
        described = System.model_validate(ini.rates(chosen, self.vela.port_bytes))
        asked = {"system": system, "memory_mode": memory_mode, "vela_config": ini.text}
        changed = self._varied(
            {
                "systems": {chosen: described, **{n: s for n, s in self.systems.items() if n != chosen}},
                "vela": self.vela.model_copy(update={"system_config": chosen, "memory_mode": mode}),
            },
            {name: value for name, value in asked.items() if value is not None},
        )
        changed._vela_ini = ini
        return changed

    def _in_system(self, system: str) -> "Target":
        if not self.vela and not self.systems:
            raise UsageError(f"{self.id} has no oracle that a system configuration or a memory mode is for.")
        if not self.vela and system not in self.systems:
            raise UsageError(f"{self.id} has no system {system!r}. {suggest(system, self.systems)}".rstrip())
        first = {system: self.systems.get(system, System())}  # a compiler may know one that no file describes
        vela = self.vela and self.vela.model_copy(update={"system_config": system})
        return self._varied({"systems": {**first, **self.systems}, "vela": vela}, {"system": system})

    def _in_memory_mode(self, memory_mode: str) -> "Target":
        if not self.vela:
            raise UsageError(f"{self.id} has no oracle that a system configuration or a memory mode is for.")
        vela = self.vela.model_copy(update={"memory_mode": memory_mode})
        return self._varied({"vela": vela}, {"memory_mode": memory_mode})

    def _varied(self, changes: dict[str, object], how: dict[str, str]) -> "Target":
        target = self.model_copy(update=changes)
        target._variant = {**self._variant, **how}
        return target

    @property
    def variant(self) -> dict[str, str]:
        """What was asked for beside the precision, as `at` and `load_target` take it: system, memory mode, and the text of
        a Vela configuration. Empty by default."""
        return dict(self._variant)

    @property
    def vela_ini(self) -> VelaIni | None:
        """The Vela configuration of one's own that system and memory mode are from; None: those that are known."""
        return self._vela_ini

    @property
    def active(self) -> Compute:
        """How the precision that is priced is computed."""
        return self.compute[self.precision]

    @property
    def activation_bits(self) -> int:
        return int(self.precision.lstrip("intfp").partition("w")[0])

    @property
    def weight_bits(self) -> int:
        activations, _, weights = self.precision.lstrip("intfp").partition("w")
        return int(weights or activations)

    @property
    def block(self) -> int:
        """The channels that a stored activation is padded to; 1 when the target states none."""
        if self.memory.channel_block_bytes:
            return max(1, 8 * self.memory.channel_block_bytes // self.activation_bits)
        return self.memory.channel_block or 1

    @property
    def system(self) -> System:
        """The system that is priced, by default the first; an empty one where none is stated."""
        return next(iter(self.systems.values()), System())

    @property
    def clocks(self) -> dict[str, int]:
        """The clock in Hz of each system that states one."""
        return {name: system.clock_hz for name, system in self.systems.items() if system.clock_hz}

    def units(self, layer: "LayerShape", *, c_in: int | None = None, c_out: int | None = None) -> Units:
        """The compute units of `layer` when it has `c_in` and `c_out` channels in all (its own widths by default).

        A depthwise layer has one unit for both sides: `depthwise_unit`, or `output_unit` where that is unknown.
        The units of a grouped convolution apply to each of its groups, and rules see the width of one group. A unit
        that no source states is 1.
        """
        compute, depthwise = self.active, layer.kind == "depthwise"
        groups = 1 if depthwise else layer.groups
        c_in = (layer.c_in if c_in is None else c_in) // groups
        c_out = (layer.c_out if c_out is None else c_out) // groups
        into, out = compute.input_unit or 1, compute.output_unit or 1
        if depthwise:
            out = compute.depthwise_unit or out
        for rule in compute.rules:
            if (rule.when.kind == "depthwise") == depthwise and rule.when.fits(layer, c_in, c_out):
                into, out = rule.input_unit or into, rule.output_unit or out
                break
        return Units(out, out) if depthwise else Units(into, out)
