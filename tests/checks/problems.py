"""Random problems for the solver, and their answers by enumeration."""

import itertools

import numpy as np

from padless.optimise.buckets import Factor
from padless.optimise.moves import Moves
from padless.optimise.problem import Problem


def random_factors(seed: int, variables: int, forbid: float) -> tuple[dict[str, int], list[Factor]]:
    rng = np.random.default_rng(seed)
    sizes = {f"v{i}": int(rng.integers(1, 5)) for i in range(variables)}
    names = list(sizes)
    factors = [Factor((v,), rng.normal(size=sizes[v])) for v in names] + [Factor((), np.array(0.5))]
    for _ in range(rng.integers(0, 2 * variables)):
        scope = tuple(rng.permutation(names)[: rng.integers(1, min(4, variables + 1))])
        table = rng.normal(size=[sizes[v] for v in scope])
        factors.append(Factor(scope, np.where(rng.random(table.shape) < forbid, np.inf, table)))
    return sizes, factors


def enumerated(sizes, factors):
    """Every assignment with its sum."""
    for levels in itertools.product(*(range(n) for n in sizes.values())):
        pick = dict(zip(sizes, levels, strict=True))
        yield pick, sum(float(f.table[tuple(pick[v] for v in f.scope)]) for f in factors)


def random_problem(seed: int, variables: int, budgets: int, share: float, unit: float = 1.0) -> Problem:
    """Rising importance in some unit, costs that mostly rise with it, and a few forbidden combinations."""
    rng = np.random.default_rng(seed)
    sizes = {f"v{i}": int(rng.integers(1, 6)) for i in range(variables)}
    names = list(sizes)
    value = {v: unit * np.cumsum(rng.exponential(size=n)) for v, n in sizes.items()}
    costs = []
    for _ in range(budgets):
        one = [Factor((v,), np.cumsum(rng.exponential(size=sizes[v]))) for v in names]
        for a, b in itertools.pairwise(names):
            table = np.outer(np.arange(1, sizes[a] + 1), np.arange(1, sizes[b] + 1)) * rng.uniform(
                0.8, 1.2, (sizes[a], sizes[b])
            )
            one.append(Factor((a, b), table))
        costs.append([*one, Factor((), np.array(0.5))])
    if rng.random() < 0.3:  # what the first budget saves, the last one pays
        costs[-1] = [Factor(f.scope, 1.5 * f.table.max() - f.table) for f in costs[0]]
    hard = []
    if variables > 2:
        shape = tuple(sizes[v] for v in names[:3])
        hard = [Factor(tuple(names[:3]), np.where(rng.random(shape) < 0.3, np.inf, 0.0))]
    top = {v: n - 1 for v, n in sizes.items()}
    dense = [sum(float(f.table[tuple(top[v] for v in f.scope)]) for f in one) for one in costs]
    return Problem(sizes=sizes, value=value, costs=costs, limits=[share * d for d in dense], hard=hard)


def brute_force(problem: Problem) -> float:
    best = -np.inf
    for levels in itertools.product(*(range(n) for n in problem.sizes.values())):
        pick = dict(zip(problem.sizes, levels, strict=True))
        if all(np.isfinite(f.table[tuple(pick[v] for v in f.scope)]) for f in problem.hard) and problem.within(
            problem.spent(pick)
        ):
            best = max(best, problem.worth(pick))
    return best


def entangled_problem(
    seed: int, variables: int, budgets: int, share: float, sizes: tuple[int, int] = (2, 4)
) -> Problem:
    """A random graph of many pairs, and a running sum over some variables whose values cost with each other variable."""
    rng = np.random.default_rng(seed)
    names = [f"v{i}" for i in range(variables)]
    levels = {
        v: np.sort(rng.choice(np.arange(1, 9), rng.integers(sizes[0], sizes[1] + 1), replace=False)) for v in names
    }
    value = {v: np.cumsum(rng.exponential(size=len(w))) for v, w in levels.items()}
    hard, pairs = [], [pair for pair in itertools.combinations(names, 2) if rng.random() < 0.7]
    before, sizes_of = names[0], {v: len(w) for v, w in levels.items()}
    so_far = levels[before]
    for i, v in enumerate(names[1 : variables // 2 + 1]):
        total = so_far[:, None] + levels[v][None]
        values = np.unique(total)
        hard.append(Factor((before, v, f"sum {i}"), np.where(total[..., None] == values, 0.0, np.inf)))
        before, so_far, sizes_of[f"sum {i}"] = f"sum {i}", values, len(values)
        pairs.append((before, names[rng.integers(variables // 2 + 1, variables)]))
        levels[before] = values
    costs = [
        [Factor((a, b), np.outer(levels[a], levels[b]) * rng.uniform(0.8, 1.2)) for a, b in pairs]
        for _ in range(budgets)
    ]
    widest = {v: n - 1 for v, n in sizes_of.items()}
    limits = [share * sum(float(f.table[tuple(widest[v] for v in f.scope)]) for f in cost) for cost in costs]
    return Problem(sizes=sizes_of, value=value, costs=costs, limits=limits, hard=hard)


def best_of_free(problem: Problem) -> float:
    """By enumeration of the variables that have a value."""
    best, moves = -np.inf, Moves(problem)
    for levels in itertools.product(*(range(problem.sizes[v]) for v in problem.value)):
        pick = moves.completed(dict(zip(problem.value, levels, strict=True)))
        if moves.allowed(pick) and problem.within(problem.spent(pick)):
            best = max(best, problem.worth(pick))
    return best
