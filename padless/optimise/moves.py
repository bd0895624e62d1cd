"""From one pick to another by the level of one variable: what sums follow, what it costs, whether it is allowed."""

from collections.abc import Iterator, Mapping

import numpy as np

from padless.optimise.buckets import Array, Factor, Pick
from padless.optimise.problem import Problem

FILLED = 200  # steps up, at most


class Moves:
    """The free variables of a problem are those that have a value; the others are sums that follow from them."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.sums = [f for f in problem.hard if len(f.scope) == 3 and f.scope[2] not in problem.value]
        follows: dict[str, set[str]] = {v: {v} for v in problem.value}
        for factor in self.sums:
            for moved in follows.values():
                if moved & set(factor.scope[:2]):
                    moved.add(factor.scope[2])
        self._sums = {v: [f for f in self.sums if f.scope[2] in moved] for v, moved in follows.items()}
        self._costs = {
            v: [[i for i, f in enumerate(cost) if moved & set(f.scope)] for cost in problem.costs]
            for v, moved in follows.items()
        }
        self._hard = {v: [f for f in problem.hard if moved & set(f.scope)] for v, moved in follows.items()}

    def completed(self, levels: Mapping[str, int]) -> Pick:
        """The levels of free variables with those of the sums that follow from them."""
        return self._complete(dict(levels), self.sums)

    def start(self, levels: Mapping[str, int]) -> "State":
        """A pick with these levels of the free variables."""
        pick = self.completed(levels)
        return State(pick, [[_entry(f, pick) for f in cost] for cost in self.problem.costs])

    def allowed(self, pick: Pick) -> bool:
        return all(np.isfinite(_entry(f, pick)) for f in self.problem.hard)

    def moved(self, state: "State", v: str, level: int) -> "State | None":
        """The pick with another level of v, or None where that is not allowed."""
        pick = self._complete({**state.pick, v: level}, self._sums[v])
        if not all(np.isfinite(_entry(f, pick)) for f in self._hard[v]):
            return None
        costs = []
        for cost, entries, touched in zip(self.problem.costs, state.entries, self._costs[v], strict=True):
            entries = list(entries)
            for i in touched:
                entries[i] = _entry(cost[i], pick)
            costs.append(entries)
        return State(pick, costs)

    def ladder(self, state: "State", v: str) -> list[float | None]:
        """What the tables of the first cost that depend on v come to at each of its levels, the others staying; None where
        that is not allowed."""
        touched = self._costs[v][0]
        steps = (self.moved(state, v, level) for level in range(self.problem.sizes[v]))
        return [None if step is None else sum(step.entries[0][i] for i in touched) for step in steps]

    def _complete(self, pick: Pick, sums: list[Factor]) -> Pick:
        for factor in sums:
            before, added, total = factor.scope
            pick[total] = int(np.isfinite(factor.table[pick[before], pick[added]]).argmax())
        return pick

    def filled(self, state: "State") -> "State":
        """Steps up that fit within the limits, the most worth for what they spend first, until none is left."""
        problem = self.problem
        limits = np.maximum(np.array(problem.limits), 1e-300)
        for _ in range(FILLED):
            best: tuple[float, State] | None = None
            for v, level in self._upwards(state):
                wider = self.moved(state, v, level)
                if wider is None or not problem.within(wider.spent):
                    continue
                gain = float(problem.value[v][level] - problem.value[v][state.pick[v]])
                spent = max(float(((wider.spent - state.spent) / limits).max()), 1e-12)
                if best is None or gain / spent > best[0]:
                    best = gain / spent, wider
            if best is None:
                break
            state = best[1]
        return state

    def _upwards(self, state: "State") -> Iterator[tuple[str, int]]:
        for v, values in self.problem.value.items():
            now = state.pick[v]
            for level in range(now + 1, len(values)):
                if values[level] > values[now]:
                    yield v, level


class State:
    """A pick and the entry of each table of costs that it takes."""

    def __init__(self, pick: Pick, entries: list[list[float]]) -> None:
        self.pick, self.entries = pick, entries
        self.spent: Array = np.array([sum(cost) for cost in entries])


def _entry(factor: Factor, pick: Mapping[str, int]) -> float:
    return float(factor.table[tuple(pick[v] for v in factor.scope)])


def greedy_pick(moves: Moves) -> Pick:
    """The levels that `greedy` ends with; empty where it finds none."""
    problem = moves.problem
    limits = np.array(problem.limits)
    state = moves.start({v: problem.sizes[v] - 1 for v in problem.value})
    while not problem.within(state.spent):
        best: tuple[float, State] | None = None
        over = state.spent > limits
        for v in problem.value:
            for level in range(state.pick[v] - 1, -1, -1):
                narrower = moves.moved(state, v, level)
                if narrower is None:
                    continue
                saved = float(((state.spent - narrower.spent) / limits)[over].sum())
                if saved <= 0:
                    continue
                rate = (problem.value[v][state.pick[v]] - problem.value[v][level]) / saved
                if best is None or rate < best[0]:
                    best = rate, narrower
                break  # the next narrower level that saves something
        if best is None:
            return {}
        state = best[1]
    return state.pick
