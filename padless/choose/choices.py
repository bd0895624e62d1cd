"""What a plan may decide by, beside target and budget: checked once, frozen, with every default in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from padless.choose.ratios import RATIOS
from padless.errors import UsageError, expect, suggest
from padless.importance import Criterion, Importance
from padless.optimise import frozen_inputs, greedy, solve
from padless.treat.treatment import AUTO, offers

METHODS = {"optimal": solve, "greedy": greedy, "frozen": frozen_inputs}  # on tables of costs
ALLOCATIONS = (*METHODS, *RATIOS)
ALIGNMENTS = ("unit", "cost", "none")
REPAIRS = ("down", "up")


class Changes(TypedDict, total=False):
    """The fields of `Choices` as keywords, for those who want to name only a few."""

    importance: str | Criterion | Importance | None
    allocate: str
    align: str | None
    repair: str
    freeze: Sequence[str]
    widths: Mapping[str, tuple[int, int]]
    floor: float
    outputs: Sequence[str | int] | None
    treat: Sequence[str]
    spare: float
    depth: bool
    time_limit: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """How channels are scored and widths chosen.

    - `importance`: a criterion's name, `package.module:function`, a function (graph, model, images) -> one score a channel,
      or curves from `padless.importance`; by default `reconstruction` where there are images, else `l1`.
    - `allocate`: `optimal` keeps the most importance that fits, and says how far from optimal it can be. Baselines: `greedy`
      by importance per cost, `frozen` (a knapsack that prices layers by their outputs alone), `uniform` and `global` by one
      ratio or threshold.
    - `align`: `unit` keeps only widths that fill the target's units; with `cost` they fill those of the layers that write
      them, and the oracle's costs decide: one that a larger width undercuts is not aligned. `none` is general pruning. By
      default `unit`; where that does not reach a budget that a compiler counts, and costs decide (`optimal`, `greedy`,
      `frozen`), `cost`.
    - `repair`: a group whose own width fills no units goes `down` to one that does, or may keep all its channels and get
      zeros (`up`).
    - `freeze`: layers (wildcards allowed) whose output channels all stay. `widths`: layers with the least and the greatest
      number of output channels.
    - `floor`: the share of its importance that every group keeps at least, from 0 to 1.
    - `outputs`: the paths of the outputs whose channels must stay (`0`, `boxes`); others may be cut. By default all stay.
    - `treat`: treatments of weights that layers are offered beside widths, in the same program: `grid` (a ladder of 33 to 5
      levels a filter), `2:4`, with both also 2:4 on grids, or single ones such as `grid:17` (see `padless.treat`, which
      carries out what the plan says). Only for `optimal` and `reconstruction`, and where the oracle charges less for them;
      `auto` stands for both where all that holds, and for none elsewhere.
    - `spare`: the share of a compiler's budget that stays free where weights are treated, from 0 to below 1: those that make
      up for one another compress worse than the rounded ones that are planned with. Give more where a file is over it.
    - `depth`: whether whole branches may go, too: a group may lose all its channels where what reads it becomes a constant
      and the network's outputs still depend on its inputs. Only where importances have one unit, as those of
      `reconstruction`, and widths are chosen on tables (`optimal`, `greedy`, `frozen`).
    - `time_limit`: seconds for each solution of the best widths, at most. Work is bounded by counts that take less on a
      quiet machine: only where the solver's status is "time limit" did the seconds matter.
    - `seed`: of random scores and of the check after the cut.

    Raises UsageError for what is unknown or out of range.
    """

    importance: str | Criterion | Importance | None = None
    allocate: str = "optimal"
    align: str | None = None
    repair: str = "down"
    freeze: Sequence[str] = ()
    widths: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    floor: float = 0.0
    outputs: Sequence[str | int] | None = None
    treat: Sequence[str] = ()
    spare: float = 0.01
    depth: bool = False
    time_limit: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("allocate", ALLOCATIONS), ("align", ALIGNMENTS), ("repair", REPAIRS)):
            value = getattr(self, name)
            if value not in known and not (name == "align" and value is None):
                raise UsageError(f"{name} cannot be {value!r}. {suggest(str(value), known)}")
        if self.align == "cost" and self.allocate in RATIOS:
            raise UsageError(f"With allocate {self.allocate!r} no costs are asked that could align. Use align 'unit'.")
        for name in ("freeze", "treat"):
            if isinstance(value := getattr(self, name), str):
                raise UsageError(f"{name} is the text {value!r}; expected several names. Write [{value!r}].")
        for name in ("floor", "spare", "time_limit"):
            expect(getattr(self, name), (int, float), name, "Write a number.")
        expect(self.depth, bool, "depth", "Write True or False.")
        if self.depth and self.allocate in RATIOS:
            raise UsageError(f"allocate {self.allocate!r} narrows all groups alike. Use optimal, or leave depth out.")
        expect(self.seed, int, "seed", "Write a whole number from 0 up.")
        expect(self.freeze, Sequence, "freeze", "Write the names of layers in a list.")
        expect(self.treat, Sequence, "treat", "Write the names of treatments in a list.")
        if self.treat:
            self._check_treatments()
        if not 0 <= self.floor <= 1:
            raise UsageError(f"The importance floor is a share from 0 to 1; got {self.floor:g}.")
        if not 0 <= self.spare < 1:
            raise UsageError(f"What is spare of a budget is a share from 0 to below 1; got {self.spare:g}.")
        if not self.time_limit > 0:
            raise UsageError(f"time_limit is seconds above 0; got {self.time_limit:g}.")
        if self.seed < 0:
            raise UsageError(f"A seed is a whole number from 0 up; got {self.seed}.")

    def _check_treatments(self) -> None:
        if len(offers(self.treat)) < 2:
            raise UsageError(f"treat offers {', '.join(self.treat)}, which changes nothing. Write grid, 2:4 or both.")
        if AUTO in self.treat and len(self.treat) > 1:
            raise UsageError(
                f"treat offers {', '.join(self.treat)}; auto stands alone. Write auto, or name the others."
            )
        if AUTO in self.treat:
            return
        if self.allocate != "optimal":
            raise UsageError(f"allocate {self.allocate!r} chooses widths alone. Use optimal, or leave treat out.")
        named = isinstance(self.importance, str) or callable(self.importance)
        if named and self.importance != "reconstruction":
            raise UsageError(
                f"Treatments are weighed by what they do to the loss, as reconstruction weighs widths; the importance "
                f"{self.importance} has another unit. Leave one of the two out."
            )

    @property
    def insists(self) -> bool:
        """Whether treatments were named, so that there must be some: `auto` does without."""
        return any(name != AUTO for name in self.treat)

    def criterion(self, images: Sequence[Any]) -> str | Criterion | Importance:
        """`importance`, or what stands for it by default."""
        return self.importance or ("reconstruction" if images else "l1")
