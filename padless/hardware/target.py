"""A target: the widths in which an NPU computes and stores channels.

Two numbers that are easily confused: a *compute unit* is what channels are rounded up to in MAC work, a *memory block*
is what they are padded to where activations are stored. They differ on most NPUs, and the second is often optional.

A target is one TOML file. `catalogue/` holds those that padless ships; a user's own file obeys the same rules.
"""

import math
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from padless.errors import UsageError, suggest
from padless.graph.structure import Layer
from padless.hardware.facts import Fact, problems

CATALOGUE = Path(__file__).parent / "catalogue"

# TOML keeps whole numbers, text and booleans apart; `strict` keeps pydantic from mixing them again.
Count = Annotated[int, Field(strict=True, gt=0)]
Rate = Annotated[float, Field(strict=True, gt=0)]


class Units(NamedTuple):
    """The channels that one layer's input and output are rounded up to in compute."""

    input: int
    output: int


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class When(_Table):
    """The layers that a rule is for; what is left out does not matter. Widths are per convolution group, inclusive."""

    kind: Literal["conv", "grouped", "linear"] | None = None
    kernel: Literal["1x1", "other"] | None = None  # a linear layer counts as 1x1
    min_c_in: Count = 1
    max_c_in: Count | None = None
    min_c_out: Count = 1
    max_c_out: Count | None = None

    def fits(self, layer: Layer, c_in: int, c_out: int) -> bool:
        kernel = "1x1" if layer.kind == "linear" or layer.kernel == (1, 1) else "other"
        return (
            self.kind in (None, layer.kind)
            and self.kernel in (None, kernel)
            and self.min_c_in <= c_in <= (self.max_c_in or c_in)
            and self.min_c_out <= c_out <= (self.max_c_out or c_out)
        )


class Rule(_Table):
    """Units that replace the general ones for some layers, where the NPU or its compiler changes its loop order."""

    when: When
    input_unit: Count | None = None
    output_unit: Count | None = None


class Compute(_Table):
    """How one precision is computed. Units are channels."""

    macs_per_cycle: Count | None = None
    array: tuple[Count, ...] | None = None  # the MAC array's extents; the last one sums over input channels
    input_unit: Count
    output_unit: Count
    depthwise_unit: Count | None = None
    misfit: Literal["waste", "pad", "reject"] = "waste"  # idle MACs, zeros added by the compiler, or no NPU at all
    rules: tuple[Rule, ...] = Field(default=(), alias="rule")  # the first that fits wins

    @model_validator(mode="after")
    def _array_holds_the_macs(self) -> Self:
        if self.array and math.prod(self.array) != self.macs_per_cycle:
            extents = " x ".join(map(str, self.array))
            raise ValueError(
                f"array {extents} is {math.prod(self.array)} MACs, not macs_per_cycle = {self.macs_per_cycle}"
            )
        return self


class Precisions(_Table):
    int8: Compute


class Memory(_Table):
    channel_block: Count | None = None  # int8 channels that a stored activation is padded to
    channel_block_optional: bool = False  # a layout without padding exists


class System(_Table):
    """A chip or board around the NPU. Bandwidths are bytes per NPU cycle, at best."""

    clock_hz: Count | None = None
    sram_bytes_per_cycle: Rate | None = None
    flash_bytes_per_cycle: Rate | None = None
    dram_bytes_per_cycle: Rate | None = None


class Vela(_Table):
    """What to tell Arm's compiler: `--accelerator-config`, `--system-config` and `--memory-mode`."""

    accelerator: str
    system_config: str
    memory_mode: str


class Target(_Table):
    """One NPU. What is absent is not known, and listed in `unknown`."""

    version: Literal[1] = Field(alias="schema")
    id: str
    name: str
    vendor: str
    unknown: tuple[str, ...] = ()
    compute: Precisions
    memory: Memory = Memory()
    systems: dict[str, System] = Field(default={}, alias="system")  # the first is the default
    vela: Vela | None = None
    facts: tuple[Fact, ...] = Field(default=(), alias="fact")

    @model_validator(mode="after")
    def _facts_agree(self) -> Self:
        stated = self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"version", "facts"})
        if found := problems(stated, self.facts, self.unknown):
            raise ValueError("\n  ".join(found))
        return self

    @property
    def block(self) -> int:
        """The channels that a stored int8 activation is padded to; 1 when the target states none."""
        return self.memory.channel_block or 1

    @property
    def clock_hz(self) -> int | None:
        """The clock of the default system."""
        return next((system.clock_hz for system in self.systems.values()), None)

    def units(self, layer: Layer, *, c_in: int | None = None, c_out: int | None = None) -> Units:
        """The compute units of `layer` when it has `c_in` and `c_out` channels in all (its own widths by default).

        A depthwise layer has one unit for both sides: `depthwise_unit`, or `output_unit` where that is unknown.
        The units of a grouped convolution apply to each of its groups, and rules see the width of one group.
        """
        compute = self.compute.int8
        if layer.kind == "depthwise":
            unit = compute.depthwise_unit or compute.output_unit
            return Units(unit, unit)
        c_in = (layer.c_in if c_in is None else c_in) // layer.groups
        c_out = (layer.c_out if c_out is None else c_out) // layer.groups
        for rule in compute.rules:
            if rule.when.fits(layer, c_in, c_out):
                return Units(rule.input_unit or compute.input_unit, rule.output_unit or compute.output_unit)
        return Units(compute.input_unit, compute.output_unit)


def load_target(spec: str | Path) -> Target:
    """The target that `spec` names: an id of the catalogue, `unit:16`, `unit:32x16` (input x output) or a TOML file.

    Raises `UsageError` when there is no such target, and when a file is unreadable, malformed or contradicts itself.
    """
    text = str(spec)
    if text.endswith(".toml"):
        return _read(Path(spec))
    if text.startswith("unit:"):
        return _ad_hoc(text)
    catalogue = {target.id: target for target in targets()}
    if text not in catalogue:
        advice = suggest(text, catalogue)
        raise UsageError(
            f"No target is called {text!r}; unit:16 and a path to a .toml file also work. {advice}".rstrip()
        )
    return catalogue[text]


@cache
def targets() -> tuple[Target, ...]:
    """The targets that padless ships, sorted by id."""
    return tuple(sorted(map(_read, CATALOGUE.glob("*.toml")), key=lambda target: target.id))


def _read(path: Path) -> Target:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Cannot read the target file {path}: {error.strerror}.") from error
    except ValueError as error:  # TOMLDecodeError, which names line and column, or UnicodeDecodeError
        raise UsageError(f"{path} is not TOML: {error}.") from error
    try:
        return Target.model_validate(data)
    except ValidationError as error:
        raise UsageError("\n  ".join([f"{path} does not describe a target:", *_explain(error)])) from error


def _explain(error: ValidationError) -> list[str]:
    """One line per wrong field: its dotted path and what was expected there."""
    lines = []
    for detail in error.errors(include_url=False):
        path = ".".join(map(str, detail["loc"]))
        said = "no such field" if detail["type"] == "extra_forbidden" else detail["msg"].removeprefix("Value error, ")
        lines.append(f"{path}: {said}" if path else said)
    return lines


def _ad_hoc(spec: str) -> Target:
    """A target of which only the units are given. Channels are also stored in blocks of the output unit."""
    match = re.fullmatch(r"unit:([1-9][0-9]*)(?:x([1-9][0-9]*))?", spec)
    if match is None:
        raise UsageError(f"{spec!r} gives no units. Write unit:16, or unit:32x16 for 32 input and 16 output channels.")
    into, out = int(match[1]), int(match[2] or match[1])
    compute = {"input_unit": into, "output_unit": out, "depthwise_unit": out}
    memory = {"channel_block": out}
    given = {"source": spec, "locator": "the target's name", "confidence": "given"}
    return Target.model_validate(
        {
            "schema": 1,
            "id": spec,
            "name": f"ad-hoc units of {into} input and {out} output channels",
            "vendor": "none",
            "unknown": ["compute.int8.macs_per_cycle", "system"],
            "compute": {"int8": compute},
            "memory": memory,
            "fact": [
                {"field": "compute.int8", "value": compute, **given},
                {"field": "memory", "value": memory, **given},
            ],
        }
    )
