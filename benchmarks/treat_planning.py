"""What offering treatments costs: questions to the compiler, and seconds of a whole plan with an empty and a filled cache.

    python benchmarks/treat_planning.py [--network torchvision/resnet50] [--target ethos-u55-256] [--images 64]

Random weights and images of noise at the network's own size; a budget of 35 % of the cycles, with and without
`treat=("grid", "2:4")`; each plan in a cache of its own, first empty, then as the first one left it. Seconds hold the scores
of channels and treatments, on all threads. Cycles are Vela's, of the target's default system and memory mode.
"""

import argparse
import os
import tempfile
import time

import torch
from common import write

from padless import Choices, load_model, load_target
from padless.choose import Budget
from padless.choose.planning import make_plan, scored
from padless.cost.oracles.vela import Vela
from padless.cost.pricing import Pricing

BUDGET = "cycles=35%"
BATCH = 128  # images, as commands take them


class Counting(Vela):
    """Counts the layers that it is asked about."""

    asked = 0

    def __call__(self, shapes):
        self.asked += len(shapes)
        return super().__call__(shapes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="torchvision/resnet50")
    parser.add_argument("--target", default="ethos-u55-256")
    parser.add_argument("--images", type=int, default=64)
    given = parser.parse_args()
    torch.manual_seed(0)
    loaded = load_model(given.network)
    x = torch.zeros(loaded.input_shape)
    noise = torch.randn(given.images, *x.shape[1:], generator=torch.Generator().manual_seed(0))
    rows = []
    for treat in ((), ("grid", "2:4")):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["PADLESS_CACHE"] = folder
            for cache in ("empty", "filled"):
                row = planned(loaded.model.eval(), x, list(noise.split(BATCH)), given.target, treat)
                rows.append({"network": given.network, "target": given.target, "treat": treat, "cache": cache, **row})
                print(rows[-1], flush=True)
    write("treat_planning", rows, images=given.images)


def planned(model, x, images, target, treat) -> dict:
    with Counting(load_target(target)) as vela, Pricing(model, (x,), load_target(target), oracle=vela) as pricing:
        choices, started = Choices(treat=treat), time.monotonic()
        curves = scored(pricing, choices, images, [Budget.parse(BUDGET)])
        scoring = time.monotonic() - started
        plan = make_plan(pricing, BUDGET, Choices(treat=treat, importance=curves), images)
        return {
            "questions": vela.asked, "scoring_seconds": round(scoring, 1), "seconds": round(time.monotonic() - started, 1),
            "solver_seconds": plan.solver.seconds, "gap": plan.solver.gap, "rounds": plan.solver.rounds,
            "treatments": len(plan.treatments),
            "cycles_percent": round(100 * plan.after["cycles"] / plan.before["cycles"], 2),
        }  # fmt: skip


if __name__ == "__main__":
    main()
