"""The property test of the graph engine, at length: random networks of every kind of block, cut and checked.

python benchmarks/properties.py [--examples 20000]

Each network is cut twice at random widths (of whole units, and any); the cut model must equal the masked original in
float64, have the widths foretold, and waste nothing that aligned widths could save. The tests run 500 of them.
"""

import argparse
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import torch
from common import write
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from padless import load_target, trace
from padless.progress import bar

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from checks.cutting import check
from models.blocks import BLOCKS, networks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given_args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    counts: Counter[str] = Counter()
    start = time.perf_counter()

    @seed(given_args.seed)
    @settings(max_examples=given_args.examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(networks(), st.sampled_from(["unit:4", "unit:2x3", "unit:8x4", "ethos-u55-256"]), st.integers(0, 2**16))
    def holds(network: tuple[torch.nn.Module, torch.Tensor], target: str, number: int) -> None:
        check(*network, load_target(target), number)
        graph = trace(*network)
        counts["networks"] += 1
        counts["operators"] += len(graph.recording.ops)
        counts["channels"] += graph.channels
        counts["channels that may be cut"] += sum(g.width for g in graph.groups if g.pinned is None)
        shown.advance(1, f"{len(graph.recording.ops)} operators")

    with bar("Random networks", given_args.examples) as shown:
        holds()
    seconds = time.perf_counter() - start
    print(f"{counts['networks']:,} networks hold ({seconds:.0f} s): {dict(counts)}")
    write("properties", dict(counts), examples=given_args.examples, seed=given_args.seed, seconds=round(seconds),
          blocks=sorted(BLOCKS))  # fmt: skip


if __name__ == "__main__":
    main()
