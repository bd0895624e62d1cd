"""What is measured: every cell of the reproduction, in the order in which a run fills them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from padless.errors import UsageError, suggest
from padless.inputs.zoo import CIFAR_FORMS

Row = dict[str, Any]  # a cell's fields and what was measured of it, as in the file of results
Part = Literal["dense", "equal ratio", "equal cycles"]

DENSE = "continued"  # the dense network, trained on as the cut ones are
# The paper's comparison, by ratio.
GENERAL, AWARE = "general", "NPU-aware"
# Ours against it and against other tools, by cycles.
PADLESS, MCT = "padless", "MCT"
TORCH_PRUNING = ("Torch-Pruning local", "Torch-Pruning global, rounded")  # its best two on VGG-16 and on ResNet-18
GRID = "grid alone"  # weights of few levels, and no channel cut
JOINT = "padless on grids"  # both, chosen in one program
EQUAL = (PADLESS, AWARE, GENERAL, *TORCH_PRUNING, MCT, GRID, JOINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One network, cut in one way to one size and trained on with one seed."""

    network: str
    part: Part
    method: str
    size: float  # equal ratio: the share of channels that goes; equal cycles: the share of the cycles that stays
    unit: int  # that the widths are multiples of; 1: any width, 0: as the target says
    seed: int

    def __str__(self) -> str:
        units = f", unit {self.unit}" if self.unit > 1 else ""
        size = "" if self.part == "dense" else f" at {self.part} {100 * self.size:g} %"
        return f"{self.network}, {self.method}{size}{units}, seed {self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Networks, sizes and seeds, and how each cell is trained and tested.

    Raises UsageError for what is out of range.
    """

    networks: tuple[str, ...] = ("vgg16_bn", "resnet18", "mobilenet_v2", "densenet_bc")  # in their CIFAR form
    ratios: tuple[float, ...] = (0.3, 0.5, 0.7)
    units: tuple[int, ...] = (8, 16, 32)
    budgets: tuple[float, ...] = (0.5, 0.35, 0.25)  # of the dense network's cycles
    methods: tuple[str, ...] = EQUAL
    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 5
    dense_epochs: int = 12  # where no weights are given
    images: int = 0  # training images; 0: all
    test_images: int = 0
    target: str = "ethos-u55-256"

    def __post_init__(self) -> None:
        for name in ("networks", "seeds"):
            if not getattr(self, name):
                raise UsageError(f"Give one of {name} or more.")
        for network in self.networks:
            if network not in CIFAR_FORMS:
                raise UsageError(f"No network {network!r} in CIFAR form. {suggest(network, CIFAR_FORMS)}")
        for name, shares in (("ratios", self.ratios), ("budgets", self.budgets)):
            for share in shares:
                if not 0 < share < 1:
                    raise UsageError(f"{name} lie between 0 and 1, such as 0.5 or 50%; got {share:g}.")
        for name, least in (("epochs", 1), ("dense_epochs", 1), ("images", 0), ("test_images", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is at least {least}; got {getattr(self, name)}.")
        for name, numbers, least in (("units", self.units, 2), ("seeds", self.seeds, 0)):
            if min(numbers, default=least) < least:
                raise UsageError(f"{name} are at least {least}; got {', '.join(map(str, numbers))}.")
        for method in self.methods:
            if method not in EQUAL:
                raise UsageError(f"No method {method!r}. {suggest(method, EQUAL)}")

    def cells(self) -> Iterator[Cell]:
        """All cells, a whole seed before the next, so that a run that is stopped has something to show."""
        for seed in self.seeds:
            for network in self.networks:
                yield Cell(network=network, part="dense", method=DENSE, size=0.0, unit=1, seed=seed)
                for ratio in self.ratios:
                    for unit in (1, *self.units):
                        method = AWARE if unit > 1 else GENERAL
                        yield Cell(network=network, part="equal ratio", method=method, size=ratio, unit=unit, seed=seed)
                for budget in self.budgets:
                    for method in self.methods:
                        yield Cell(network=network, part="equal cycles", method=method, size=budget, unit=0, seed=seed)


FULL = Protocol()
QUICK = Protocol(
    networks=("vgg16_bn", "resnet18"), ratios=(0.5,), budgets=(0.5,), seeds=(0,), epochs=1, dense_epochs=2,
    images=1_024, test_images=1_000,
)  # fmt: skip
