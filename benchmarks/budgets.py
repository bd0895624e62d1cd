"""Are budgets met and used, by the compiler's own total for the whole network, and how long does planning take?

    python benchmarks/budgets.py [--networks NAME ...] [--targets ID ...]

For each network and target: `padless.plan` at 70, 50, 35 and 25 % of the compiler's cycles, each in a process of its own,
the first with an empty cache, then with what it left. Importance is L1 on random weights (seed 0), widths are
whole units. Seconds are for all that `plan` does, tracing and compiling the dense network included; memory is the process's
peak beside its workers'.
Networks that are done are read from the results: a stopped run goes on.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import torch
from common import NETWORKS, TARGETS, rows_of, unmeasured, write

import padless
from padless.errors import InfeasibleError
from padless.inputs import load_model

SHARES = (0.5, 0.7, 0.35, 0.25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--targets", nargs="+", default=list(TARGETS))
    parser.add_argument("--one", nargs=3, metavar=("NETWORK", "TARGET", "SHARE"), help="print one row")
    given = parser.parse_args()
    if given.one:
        network, target, share = given.one
        print(json.dumps(planned(network, target, float(share))))
        return
    rows = rows_of("budgets")
    for name, id in unmeasured(rows, given.networks, given.targets):
        with tempfile.TemporaryDirectory() as cache:
            for share in SHARES:
                command = [sys.executable, __file__, "--one", name, id, str(share)]
                environment = {**os.environ, "PADLESS_CACHE": cache}
                done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
                told = {"network": name, "target": id, "share": share}
                told["cache"] = "cold" if share == SHARES[0] else "warm"
                rows.append(told | json.loads(done.stdout.splitlines()[-1]))
                print(rows[-1], flush=True)
        write("budgets", rows, seed=0, importance="l1")


def planned(name: str, id: str, share: float) -> dict:
    """What one call of `plan` gives."""
    torch.manual_seed(0)
    source = load_model(name)
    started = time.monotonic()
    try:
        plan = padless.plan(
            source.model.eval(),
            torch.zeros(source.input_shape),
            target=id,
            budget=f"cycles={100 * share:g}%",
            align="unit",
        )
    except InfeasibleError as error:
        return {"infeasible": str(error), "seconds": time.monotonic() - started}
    (outcome,) = plan.outcomes
    return {
        "seconds": time.monotonic() - started,
        "solver_seconds": plan.solver.seconds,
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "used_percent": 100 * outcome.compiler_total / outcome.asked,
        "table_over_compiler": outcome.table_total / outcome.compiler_total,
        "gap_percent": 100 * plan.solver.gap,
        "rounds": plan.solver.rounds,
        "avoidable_macs_percent": plan.after["avoidable_macs_percent"],
        "oracle": plan.after["oracle"],
    }


if __name__ == "__main__":
    main()
