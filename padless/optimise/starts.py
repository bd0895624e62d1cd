"""What the baselines answer, and what more fits on top of it: to begin with where nothing is proven."""

import time
from collections.abc import Iterator

from padless.optimise.buckets import Pick
from padless.optimise.moves import Moves, State, greedy_pick
from padless.optimise.problem import Ladder, Problem

HALVINGS = 12  # of a ladder


def starts(problem: Problem, pick: Pick, deadline: float) -> Iterator[Pick]:
    """The answer at hand, greedy's, and the ladders', each with steps up while these are within the limits.

    After the deadline (of `time.monotonic`) only the ends of ladders are tried: a step may need an integer program.
    """
    moves = Moves(problem)
    for levels in (pick, greedy_pick(moves)):
        if levels:
            yield moves.filled(moves.start({v: levels[v] for v in problem.value})).pick
    for ladder in problem.ladders:
        if state := _mildest(moves, ladder, deadline):
            yield moves.filled(state).pick


def _mildest(moves: Moves, ladder: Ladder, deadline: float) -> State | None:
    """The highest step of a ladder that is within the limits, as far as halving finds it."""

    def at(step: float) -> State | None:
        state = moves.start(ladder(step))
        return state if moves.allowed(state.pick) and moves.problem.within(state.spent) else None

    if highest := at(0.0):
        return highest
    low, high, best = 0.0, 1.0, at(1.0)
    for _ in range(HALVINGS):
        if time.monotonic() > deadline:
            break
        middle = (low + high) / 2
        if state := at(middle):
            best, high = state, middle
        else:
            low = middle
    return best
