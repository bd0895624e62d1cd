"""A trained network with its images and its price: what every cell starts from."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from padless.align import aligned_levels, free_levels
from padless.choose import RATIOS, Budget, Choices, Plan
from padless.choose.match import Knob, Maker
from padless.choose.planning import make_plan, scored
from padless.choose.replay import prune
from padless.cost import NetworkCost, network_cost
from padless.cost.pricing import Pricing
from padless.cost.unavoidable import unavoidable
from padless.cut import cut
from padless.errors import InfeasibleError, PadlessError
from padless.graph import narrowed, trace
from padless.hardware import load_target
from padless.importance import Importance, importance
from padless.inputs import Images, LoadedModel
from padless.recover import treat
from padless.reproduction.grid import finest
from padless.reproduction.peers import PeerError, kept_by, kept_by_name, plan_of, sony_mct, torch_pruning
from padless.reproduction.protocol import AWARE, GENERAL, GRID, JOINT, MCT, PADLESS, TORCH_PRUNING, Cell

CALIBRATION = 512  # training images, without labels, for importance and recovery
SPARE = 0.03  # of a budget: treated weights that were trained before compress worse than planned
SCORED = 64  # of them that MCT scores channels with: its scores take minutes


class TorchPruning(TypedDict, total=False):
    """How `torch_pruning` is called."""

    everywhere: bool
    round_to: int


OURS = {  # method: allocation, importance, alignment
    PADLESS: ("optimal", "reconstruction", "unit"),
    AWARE: ("global", "l1", "unit"),
    GENERAL: ("global", "l1", "none"),
    "optimal, L1": ("optimal", "l1", "unit"),  # what of PADLESS is its choice of widths
    "one threshold, reconstruction": ("global", "reconstruction", "unit"),  # and what its importance
    "frozen-input knapsack": ("frozen", "reconstruction", "unit"),
    "uniform, L1": ("uniform", "l1", "unit"),
}
THEIRS: Mapping[str, TorchPruning] = {  # Torch-Pruning by L2 norms of groups: one ratio or one threshold
    TORCH_PRUNING[0]: {},
    TORCH_PRUNING[1]: {"everywhere": True, "round_to": 32},
    "Torch-Pruning global": {"everywhere": True},
    "Torch-Pruning local, rounded": {"round_to": 32},
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Small:
    """A cut network, and the plan that cuts it. `levels` are those of its weights, where they are on one grid.

    Training undoes those, and the plan's treatments are still to be carried out: see `Subject.to_train` and `treated`.
    """

    model: nn.Module
    plan: Plan
    levels: int | None = None


class Subject:
    """One network. Close it (or use it in a `with`), since its price may come from other processes."""

    def __init__(self, loaded: LoadedModel, images: Images, target: str) -> None:
        self.model, self.images, self.x = loaded.model.eval(), images, torch.zeros(loaded.input_shape)
        self.pricing = Pricing(self.model, (self.x,), load_target(target))
        self.graph = self.pricing.graph
        self._importances: dict[tuple[str, int], Importance] = {}
        self._weighed: dict[int, Importance] = {}  # with what treatments lose
        self._by_ratio: dict[tuple[float, int], Plan] = {}
        self._knobs: dict[tuple[str, int], Knob] = {}

    def __enter__(self) -> "Subject":
        return self

    def __exit__(self, *error: object) -> None:
        self.pricing.close()

    @cached_property
    def dense(self) -> NetworkCost:
        return self.pricing.dense()

    def calibration(self, seed: int) -> list[Tensor]:
        return list(self.images.calibration(CALIBRATION, seed))

    def cost(self, model: nn.Module) -> NetworkCost:
        return self.pricing.whole(model, trace(model, self.x))

    def importance(self, criterion: str, seed: int) -> Importance:
        watched = criterion == "reconstruction"
        key = criterion, seed if watched else 0
        if key not in self._importances:
            images = self.calibration(seed) if watched else ()
            self._importances[key] = importance(self.graph, self.model, criterion, images)
        return self._importances[key]

    def cut(self, cell: Cell) -> Small | None:
        """A cell's network, not repaired yet; None where its method reaches no such size. Raises PeerError."""
        if cell.part == "equal cycles":
            return self.at_cycles(cell.method, cell.size, cell.seed)
        plan = self.by_ratio(cell.size, cell.unit)
        return Small(model=prune(self.model, plan), plan=plan)

    # --- by ratio: the paper's comparison --------------------------------------------------------------------------

    def by_ratio(self, ratio: float, unit: int) -> Plan:
        """One L1 threshold over the network, `ratio` of its channels below it; widths in multiples of `unit`."""
        key = ratio, unit
        if key not in self._by_ratio:
            levels = free_levels(self.graph) if unit == 1 else aligned_levels(self.graph, load_target(f"unit:{unit}"))
            l1 = self.importance("l1", 0)
            kept = l1.strongest(self.graph, RATIOS["global"](self.graph, l1, levels, ratio))
            self._by_ratio[key] = plan_of(self.graph, kept)
        return self._by_ratio[key]

    def in_units(self, plan: Plan, unit: int) -> NetworkCost:
        """What a cut computes and stores where channels come in multiples of `unit`. No cycles."""
        target = load_target(f"unit:{unit}")
        fixed = unavoidable(self.graph, target, aligned_levels(self.graph, target).fixed)
        return network_cost(self.graph, narrowed(self.graph, plan.mask(self.graph)), target, fixed, None)

    # --- by cycles -------------------------------------------------------------------------------------------------

    def at_cycles(self, method: str, share: float, seed: int) -> Small | None:
        """The network that a method makes of at most `share` of the dense one's cycles; None where it reaches none.

        Raises PeerError where another tool fails.
        """
        if method == GRID:
            return self.on_grid(self.model, share, seed)
        if method == JOINT:
            return self._jointly(share, seed)
        if method not in OURS:
            return self._of_a_peer(method, share, seed)
        allocate, criterion, align = OURS[method]
        try:
            choices = Choices(importance=self.importance(criterion, seed), allocate=allocate, align=align, seed=seed)
            plan = make_plan(self.pricing, f"cycles={100 * share:g}%", choices, dense=self.dense)
        except InfeasibleError:
            return None
        return Small(model=prune(self.model, plan), plan=plan)

    def to_train(self, small: Small) -> nn.Module:
        """What of a cut network is trained: its own module, or the dense network's copy where only weights were treated."""
        return copy.deepcopy(self.model) if small.levels else small.model

    def treated(self, small: Small, model: nn.Module, cell: Cell) -> Small | None:
        """The network once it is trained, with the treatments that it is to have; None where that is over the budget."""
        if small.levels:
            return self.on_grid(model, cell.size, cell.seed)
        if small.plan.treatments:
            treat(model, self.calibration(cell.seed), small.plan.treatments, plan=small.plan)
            if self._cycles(model) > cell.size * _total(self.dense):
                return None
        return replace(small, model=model)

    def _jointly(self, share: float, seed: int) -> Small | None:
        """Widths and treatments in one program. What training and compensation add is kept free."""
        budget = Budget(quantity="cycles", share=share)
        choices = Choices(treat=("grid",), spare=SPARE, seed=seed)
        if seed not in self._weighed:
            self._weighed[seed] = scored(self.pricing, choices, self.calibration(seed), [budget])
        choices = replace(choices, importance=self._weighed[seed])
        try:
            plan = make_plan(self.pricing, str(budget), choices, dense=self.dense)
        except InfeasibleError:
            return None
        return Small(model=prune(self.model, plan), plan=plan)

    def on_grid(self, model: nn.Module, share: float, seed: int) -> Small | None:
        """A network of the dense one's shape, its weights on a grid as fine as the budget allows; None where none does."""
        found = finest(model, self.graph, self.calibration(seed), self._cycles, share * _total(self.dense))
        if found is None:
            return None
        whole = plan_of(self.graph, np.ones(self.graph.channels, dtype=np.int64))
        return Small(model=found[0], plan=whole, levels=found[1].levels)

    def _of_a_peer(self, method: str, share: float, seed: int) -> Small | None:
        try:
            small = self._knob(method, seed).at_most(share * _total(self.dense))
            if small is None:
                return None
            kept = kept_by(self.graph, self.model, small)
        except PadlessError:
            raise
        except Exception as error:  # another tool may fail in any way
            raise PeerError(f"{method} failed: {type(error).__name__}: {error}") from error
        return Small(model=small, plan=plan_of(self.graph, kept))

    def _knob(self, method: str, seed: int) -> Knob:
        key = method, seed if method == MCT else 0
        if key not in self._knobs:
            theirs = THEIRS.get(method)
            make = self._mct(seed) if theirs is None else torch_pruning(copy.deepcopy(self.model), self.x, **theirs)
            self._knobs[key] = Knob(make, self._cycles)
        return self._knobs[key]

    def _mct(self, seed: int) -> Maker:
        """The channels that MCT keeps, cut from the network itself: its own leaves batch norms out and renames layers."""
        choose = sony_mct(self.model, list(self.images.calibration(SCORED, seed, 32)), seed)

        def make(share: float) -> nn.Module | None:
            chosen = choose(share)
            return chosen and cut(self.model, self.graph, kept_by_name(self.graph, self.model, chosen))

        return make

    def _cycles(self, model: nn.Module) -> float:
        return _total(self.cost(model))


def _total(cost: NetworkCost) -> float:
    assert cost.cycles is not None  # a run checks that before
    return float(cost.cycles.total)
