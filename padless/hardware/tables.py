"""The tables of a target file: what is computed and stored in which units, at which speed and within which limits.

Two numbers that are easily confused: a *compute unit* is what channels are rounded up to in MAC work, a *memory block*
is what they are padded to where activations are stored. They differ on most NPUs, and the second is often optional.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from padless.hardware.rounding import ceil_div

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


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class When(Table):
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


class UnitRule(Table):
    """Units that replace the general ones for some layers, where the NPU or its compiler changes its loop order."""

    when: When
    input_unit: Count | None = None
    output_unit: Count | None = Field(default=None, description="Of a depthwise layer: its one unit.")


class Array(Table):
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


class Compute(Table):
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


class Memory(Table):
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


class Weights(Table):
    """How weights are stored, where that differs from the compute units."""

    input_block: Count | None = None
    output_block: Count | None = None
    align_bytes: Count | None = None
    compressed: bool = Field(default=False, description="Entropy-coded: bytes do not follow channels.")


class System(Table):
    """A chip or board around the NPU. Bandwidths are bytes per NPU cycle, at best."""

    clock_hz: Count | None = None
    tops: Rate | None = Field(default=None, description="Peak INT8 operations a second, two a MAC, as advertised.")
    sram_bytes: Count | None = None
    sram_bytes_per_cycle: Rate | None = None
    flash_bytes_per_cycle: Rate | None = None
    dram_bytes_per_cycle: Rate | None = None


class Limits(Table):
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


class VelaSettings(Table):
    """What to tell Arm's compiler: `--accelerator-config`, `--system-config` and `--memory-mode`."""

    accelerator: str
    system_config: str
    memory_mode: str

    @property
    def port_bytes(self) -> int:
        """Bytes a cycle of one of the accelerator's two ports: 8 for Ethos-U55, 16 for later ones."""
        return 8 if self.accelerator.startswith("ethos-u55") else 16
