"""What a target file may say. `docs/target.schema.json` is written from these classes.

Two numbers that are easily confused: a *compute unit* is what channels are rounded up to in MAC work, a *memory block*
is what they are padded to where activations are stored. They differ on most NPUs, and the second is often optional.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PrivateAttr, model_validator

from padless.errors import UsageError, suggest
from padless.hardware.facts import Fact, look_up, problems
from padless.hardware.rounding import ceil_div
from padless.hardware.vela_ini import VelaIni

if TYPE_CHECKING:  # the graph needs torch, which takes seconds to import, and targets do not
    from padless.graph import LayerShape

# TOML keeps whole numbers, text and booleans apart; `strict` keeps pydantic from mixing them again.
Count = Annotated[int, Field(strict=True, gt=0)]
Rate = Annotated[float, Field(strict=True, gt=0)]
# Activations, and after a w the weights where they differ: int16w8 has 16-bit activations and 8-bit weights.
Precision = Annotated[str, Field(pattern=r"^(int|fp)(4|8|16)(w(1|2|4|8))?$")]
Misfit = Literal["waste", "pad", "reject"]


class Units(NamedTuple):
    """The channels that one layer's input and output are rounded up to in compute."""

    input: int
    output: int


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class When(_Table):
    """The layers that a rule is for; what is left out does not matter. Widths are per convolution group, inclusive."""

    kind: Literal["conv", "grouped", "depthwise", "linear"] | None = None
    kernel: Annotated[str, Field(pattern=r"^([1-9][0-9]*x[1-9][0-9]*|other)$")] | None = Field(
        default=None, description="Rows x columns, such as 3x3; other is all but 1x1. A linear layer counts as 1x1."
    )
    min_c_in: Count = 1
    max_c_in: Count | None = None
    min_c_out: Count = 1
    max_c_out: Count | None = None
    min_pixels: Count = Field(default=1, description="Of the output map, one channel of it.")

    def fits(self, layer: "LayerShape", c_in: int, c_out: int) -> bool:
        pointwise = layer.kind == "linear" or set(layer.kernel) == {1}
        kernel = "1x1" if pointwise else "x".join(map(str, layer.kernel))
        return (
            self.kind in (None, layer.kind)
            and (self.kernel in (None, kernel) or (self.kernel == "other" and kernel != "1x1"))
            and self.min_c_in <= c_in <= (self.max_c_in or c_in)
            and self.min_c_out <= c_out <= (self.max_c_out or c_out)
            and self.min_pixels <= math.prod(layer.out_hw)
        )


class UnitRule(_Table):
    """Units that replace the general ones for some layers, where the NPU or its compiler changes its loop order."""

    when: When
    input_unit: Count | None = None
    output_unit: Count | None = Field(default=None, description="Of a depthwise layer: its one unit.")


class Array(_Table):
    """The extents of the MAC array of one core: what is computed at once. What is left out is 1."""

    pixels: Count = Field(default=1, description="Output pixels.")
    outputs: Count = Field(default=1, description="Output channels.")
    inputs: Count = Field(default=1, description="Input channels that are summed.")
    taps: Count = Field(default=1, description="Kernel elements that are summed.")

    @property
    def macs(self) -> int:
        return self.pixels * self.outputs * self.inputs * self.taps

    def __str__(self) -> str:
        return " x ".join(f"{getattr(self, name)} {name}" for name in Array.model_fields if getattr(self, name) > 1)


class Compute(_Table):
    """How one precision is computed. Units are channels."""

    macs_per_cycle: Count | None = Field(default=None, description="Of the whole NPU, over all its cores.")
    cores: Count | None = None
    array: Array | None = None
    depthwise_macs_per_cycle: Count | None = Field(
        default=None, description="Where a depthwise layer has another rate than macs_per_cycle over array.inputs."
    )
    input_unit: Count | None = None
    output_unit: Count | None = None
    depthwise_unit: Count | None = None
    spatial_unit: tuple[Count, Count] | None = Field(
        default=None, description="Rows and columns of output pixels that are computed at once."
    )
    misfit: Misfit = Field(
        default="waste",
        description="What happens to channels that fill no unit: idle MACs, zeros that the compiler adds, or no NPU at all.",
    )
    rules: tuple[UnitRule, ...] = Field(default=(), alias="rule", description="The first that fits wins.")

    @model_validator(mode="after")
    def _redundant_numbers_agree(self) -> Self:
        cores = self.cores or 1
        if self.array and self.array.macs * cores != self.macs_per_cycle:
            on = f" on {cores} cores" if cores > 1 else ""
            raise ValueError(
                f"array {self.array}{on} is {self.array.macs * cores} MACs, not macs_per_cycle = {self.macs_per_cycle}"
            )
        if self.array and self.spatial_unit and self.array.pixels != math.prod(self.spatial_unit):
            rows, columns = self.spatial_unit
            raise ValueError(f"spatial_unit {rows} x {columns} is not the {self.array.pixels} pixels of the array")
        return self


class Memory(_Table):
    """How activations are stored, and what the NPU has of its own."""

    layout: str | None = None
    channel_block: Count | None = Field(
        default=None, description="Channels that a stored activation is padded to, in every precision."
    )
    channel_block_bytes: Count | None = Field(
        default=None, description="The same in bytes, where fewer channels of a wider precision fill the block."
    )
    channel_block_optional: bool = Field(default=False, description="A layout without padding exists.")
    align_bytes: Count | None = Field(default=None, description="Where a stored tensor may begin.")
    internal_bytes: Count | None = Field(default=None, description="Buffers that software cannot address.")
    weight_bytes: Count | None = Field(default=None, description="On-chip memory for weights only.")
    activation_bytes: Count | None = Field(default=None, description="On-chip memory for activations only.")

    @model_validator(mode="after")
    def _one_block(self) -> Self:
        if self.channel_block and self.channel_block_bytes:
            raise ValueError("give channel_block (elements) or channel_block_bytes, not both")
        return self


class Weights(_Table):
    """How weights are stored, where that differs from the compute units."""

    input_block: Count | None = None
    output_block: Count | None = None
    align_bytes: Count | None = None
    compressed: bool = Field(default=False, description="Entropy-coded: bytes do not follow channels.")


class System(_Table):
    """A chip or board around the NPU. Bandwidths are bytes per NPU cycle, at best."""

    clock_hz: Count | None = None
    tops: Rate | None = Field(default=None, description="Peak INT8 operations a second, two a MAC, as advertised.")
    sram_bytes: Count | None = None
    sram_bytes_per_cycle: Rate | None = None
    flash_bytes_per_cycle: Rate | None = None
    dram_bytes_per_cycle: Rate | None = None


class Limits(_Table):
    """What a layer must not exceed to run on the NPU."""

    max_input_channels: Count | None = None
    max_output_channels: Count | None = None
    max_kernel_height: Count | None = None
    max_dimension: Count | None = Field(default=None, description="Rows, columns and channels of any map.")
    depthwise: bool = Field(default=True, description="Whether depthwise layers run at all.")
    max_kernel_blocks: Count | None = Field(default=None, description="Kernel elements x blocks of input channels.")

    def broken(self, layer: "LayerShape", units: Units) -> Iterator[str]:
        """What about `layer` is beyond them."""
        if layer.kind == "depthwise" and not self.depthwise:
            yield "depthwise layers are not supported"
        for what, has, most in (
            ("input channels", layer.c_in, self.max_input_channels),
            ("output channels", layer.c_out, self.max_output_channels),
            ("kernel rows", layer.kernel[-2], self.max_kernel_height),
            ("as its largest dimension", max(*layer.in_hw, *layer.out_hw, layer.c_in, layer.c_out), self.max_dimension),
            ("kernel elements x input blocks", math.prod(layer.kernel) * ceil_div(layer.c_in, layer.groups * units.input),
             self.max_kernel_blocks),
        ):  # fmt: skip
            if most and has > most:
                yield f"{has} {what}, at most {most}"


class VelaSettings(_Table):
    """What to tell Arm's compiler: `--accelerator-config`, `--system-config` and `--memory-mode`."""

    accelerator: str
    system_config: str
    memory_mode: str

    @property
    def port_bytes(self) -> int:
        """Bytes a cycle of one of the accelerator's two ports: 8 for Ethos-U55, 16 for later ones."""
        return 8 if self.accelerator.startswith("ethos-u55") else 16


class Target(_Table):
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
