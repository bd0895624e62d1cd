"""How far whole branches reach that may go beside widths (`--depth`), and what accuracy that leaves.

    python benchmarks/depth.py reach [--networks torchvision/mobilenet_v2 …] [--targets ethos-u85-512] [--budgets 50 35 25]
    python benchmarks/depth.py accuracy [--budgets 15 10 6 4] [--seeds 0] [--test 2000]

`reach`: untrained networks on images of noise, whose cycles are theirs, though nothing can be said of accuracy: what the
network costs with every group at its narrowest, with and without the branches that may go, in percent of dense; and for
each budget whether it is met, gap, seconds, how many branches went, and that the cut equals the masked original.

`accuracy`: ResNet-18 as it was trained on CIFAR-10 (the weights beside the repository), widths alone and with branches at
the same budgets of ethos-u55-256's cycles: 512 training images without labels score and recover; written as INT8 TFLite,
run in LiteRT. Cycles are Vela's, of the target's default system and memory mode. What `results/depth.json` has is kept.
"""

import argparse
import dataclasses
import time
from collections.abc import Iterator

import numpy as np
import torch
from common import need_shared, rows_of, write
from treat import CALIBRATION, Subject

from padless import Choices, load_model, load_target, prune, recover
from padless.choose import Budget
from padless.choose.planning import make_plan, scored
from padless.choose.replay import prune_with_error
from padless.cost.pricing import Pricing
from padless.errors import InfeasibleError

NETWORKS = ("torchvision/mobilenet_v2", "torchvision/efficientnet_b0", "torchvision/densenet121")
NOISE = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["reach", "accuracy"])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--targets", nargs="+", default=["ethos-u85-512"])
    parser.add_argument("--budgets", nargs="+", type=int, help="percent of the dense network's cycles")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--test", type=int, default=2000, help="test images, the first of a shuffle of all")
    given = parser.parse_args()
    rows = rows_of("depth")
    made = reached(given, rows) if given.what == "reach" else accuracies(given, rows)
    for row in made:
        rows.append(row)
        print(row, flush=True)
        write("depth", rows, noise=NOISE, calibration=CALIBRATION)


def known(rows: list[dict], key: dict) -> bool:
    return any(key.items() <= row.items() for row in rows)


def reached(given: argparse.Namespace, rows: list[dict]) -> Iterator[dict]:
    for name in given.networks:
        for target in given.targets:
            key = {"what": "reach", "network": name, "target": target}
            keys = [key | {"budget": b, "depth": d} for b in given.budgets or (50, 35, 25) for d in (False, True)]
            if not all(known(rows, each) for each in keys):
                torch.manual_seed(0)
                model, x = load_model(name).model.eval(), torch.zeros(1, 3, 224, 224)
                images = list(torch.randn(NOISE, 3, 224, 224, generator=torch.Generator().manual_seed(0)).split(16))
                with Pricing(model, (x,), load_target(target)) as pricing:
                    least = narrowest(pricing)
                    started = time.monotonic()
                    choices = Choices(depth=True)
                    curves = scored(pricing, choices, images, [Budget.parse("cycles=50%")])
                    seconds = round(time.monotonic() - started, 1)
                    for each in keys:
                        if not known(rows, each):
                            chosen = dataclasses.replace(choices, depth=each["depth"], importance=curves)
                            done = planned(pricing, each["budget"], chosen, images)
                            yield each | least | {"scored_seconds": seconds} | done


def narrowest(pricing: Pricing) -> dict:
    """Every group at its narrowest whole units, and without the branches that may go, in percent of dense."""
    graph, dense = pricing.graph, pricing.dense().cycles.total
    keep = np.zeros(graph.channels, dtype=np.int64)
    for group in graph.groups:
        keep[group.first : group.first + int(pricing.levels.widths[group.id][0])] = 1
    found = pricing.branches
    shallow = keep.copy()
    for group in graph.groups:
        shallow[group.channels] *= group.id not in found.groups
    costs = {"narrowest": pricing.cut(keep), "shallowest": pricing.cut(shallow)}
    percent = {name: round(100 * cost.cycles.total / dense, 1) for name, cost in costs.items()}
    return percent | {"dense_cycles": dense, "branches": len(found.groups)}


def planned(pricing: Pricing, budget: int, choices: Choices, images: list[torch.Tensor]) -> dict:
    started = time.monotonic()
    try:
        plan = make_plan(pricing, f"cycles={budget}%", choices, images)
    except InfeasibleError as error:
        return {"reached": False, "why": str(error).splitlines()[0]}
    seconds = time.monotonic() - started
    _, error = prune_with_error(pricing.model, plan)
    return {
        "reached": True, "align": plan.align, "gap": plan.solver.gap, "solver_seconds": plan.solver.seconds,
        "rounds": plan.solver.rounds, "seconds": round(seconds, 1), "importance_kept": plan.importance_kept,
        "cycles_percent": round(100 * plan.after["cycles"] / plan.before["cycles"], 2),
        "groups_gone": sum(not kept for kept in plan.keep.values()), "equivalence_error": error,
    }  # fmt: skip


def accuracies(given: argparse.Namespace, rows: list[dict]) -> Iterator[dict]:
    need_shared()
    target = "ethos-u55-256"
    for seed in given.seeds:
        subject = Subject("resnet18", target, seed, given.test, epochs=0)
        model, calibration = subject.model, subject.calibration
        with subject.pricing as pricing:
            curves = scored(pricing, Choices(seed=seed), calibration, [Budget.parse("cycles=50%")])
            for budget in given.budgets or (15, 10, 6, 4):
                for depth in (False, True):
                    key = {
                        "what": "accuracy", "network": "resnet18", "target": target, "budget": budget, "seed": seed,
                        "test": given.test, "depth": depth,
                    }  # fmt: skip
                    if known(rows, key):
                        continue
                    chosen = Choices(depth=depth, importance=curves, seed=seed)
                    try:
                        plan = make_plan(pricing, f"cycles={budget}%", chosen, calibration)
                    except InfeasibleError as error:
                        yield key | {"reached": False, "why": str(error).splitlines()[0]}
                        continue
                    small = prune(model, plan)
                    recovered = recover(small, model, plan, calibration)
                    done = subject.file(small, subject.images)
                    yield key | {
                        "reached": True, "gap": plan.solver.gap, "solver_seconds": plan.solver.seconds,
                        "importance_kept": plan.importance_kept, "gone": [id for id, kept in plan.keep.items() if not kept],
                        "divergence": min(recovered.held_out.values()), "float": done.fidelity.float_accuracy,
                        "litert": done.fidelity.accuracy, "cycles": done.cycles.total,
                        "cycles_percent": round(100 * done.cycles.total / plan.before["cycles"], 2),
                    }  # fmt: skip


if __name__ == "__main__":
    main()
