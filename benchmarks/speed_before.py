"""Recording, grouping, planning and cutting against another version of padless, interleaved, one thread each.

    python benchmarks/speed_before.py CHECKOUT [--repeats 9] [NETWORK ...]

CHECKOUT is a folder with another version: `git worktree add ../before COMMIT`. Each version runs in a process of its own,
through its own `benchmarks/speed.py`; they take turns, so that whatever slows the machine slows both alike. A ratio is
the median of this version's times over the median of the other's: below 1 this one is faster.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from common import write

HERE = Path(__file__).parent.parent
NETWORKS = ["resnet18", "resnet50", "mobilenet_v2", "efficientnet_b0", "densenet121", "googlenet"]
PARTS = ("record", "group", "plan", "cut", "total")
WORKER = """
import json, sys, torch, speed
torch.set_num_threads(1)
models = {}
for line in sys.stdin:
    name = line.strip()
    if name not in models:
        models[name] = speed.built(name)
        speed.ours(*models[name], check=False)  # imports and first calls
    print(json.dumps(speed.timed(speed.ours, *models[name], check=False)), flush=True)
"""


class Version:
    """One version in a process of its own."""

    def __init__(self, checkout: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(checkout), str(checkout / "benchmarks")])}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def time(self, network: str) -> dict[str, float]:
        assert self.process.stdin
        assert self.process.stdout
        print(network, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("A version's process ended. Its message stands above.")
        return json.loads(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    versions = {"this": Version(HERE), "other": Version(given.checkout.resolve())}
    commit = subprocess.run(
        ["git", "-C", str(given.checkout), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    rows = []
    for network in given.networks:
        runs = {side: [] for side in versions}
        for _ in range(given.repeats):
            for side, version in versions.items():
                runs[side].append(version.time(network))
        seconds = {side: {p: statistics.median(run[p] for run in runs[side]) for p in PARTS} for side in runs}
        ratios = {p: round(seconds["this"][p] / seconds["other"][p], 3) for p in PARTS}
        rows.append({"network": network, "ratios": ratios, "seconds": seconds})
        print(f"{network:18}", *(f"{p} {ratio:.2f}" for p, ratio in ratios.items()), flush=True)
    mean = statistics.geometric_mean(row["ratios"]["total"] for row in rows)
    print(f"This version takes {mean:.3f} of the other's time (geometric mean of the totals)")
    write("speed_before", rows, other=commit.stdout.strip(), repeats=given.repeats, geometric_mean_ratio=round(mean, 3))


if __name__ == "__main__":
    main()
