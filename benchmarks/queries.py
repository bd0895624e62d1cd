"""How fast layers are priced by Arm's compiler: fresh, from the cache, and with workers killed in mid-run.

    python benchmarks/queries.py

1,000 convolutions of random widths (8 to 255), kernels (1, 3) and maps (4 to 32), ethos-u55-256, seed 0; three rounds of
each, medians, in one process with a worker a core.
"""

import os
import signal
import tempfile
import threading
import time
from statistics import median

import numpy as np
from common import write

from padless import load_target
from padless.cost import CachedOracle
from padless.cost.cache import Cache
from padless.cost.oracles.vela import Vela
from padless.graph import Layer
from padless.pool import CORES

COUNT, ROUNDS = 1000, 3


def layers() -> list[Layer]:
    rng = np.random.default_rng(0)
    found: dict[object, Layer] = {}
    while len(found) < COUNT:
        kernel, hw = int(rng.choice([1, 3])), int(rng.choice([4, 8, 16, 32]))
        c_in, c_out = (int(n) for n in rng.integers(8, 256, 2))
        layer = Layer(
            name=f"layer{len(found)}", weight="w", kind="conv", c_in=c_in, c_out=c_out, groups=1, kernel=(kernel, kernel),
            stride=(1, 1), dilation=(1, 1), in_hw=(hw, hw), out_hw=(hw, hw), inputs=np.arange(0), outputs=np.arange(0),
        )  # fmt: skip
        found[layer.shape] = layer
    return list(found.values())


def timed(folder: str, asked: list[Layer], *, killing: bool = False) -> tuple[float, list[int]]:
    os.environ["PADLESS_CACHE"] = folder
    with Vela(load_target("ethos-u55-256")) as vela:
        stop = threading.Event()

        def kill() -> None:
            while not stop.wait(1.5):
                for worker in vela.pool._workers:
                    if worker.process:
                        os.kill(worker.process.pid, signal.SIGKILL)

        if killing:
            threading.Thread(target=kill, daemon=True).start()
        started = time.perf_counter()
        answers = CachedOracle(vela, Cache())(asked)
        stop.set()
        return time.perf_counter() - started, [a.total for a in answers]


def main() -> None:
    asked, fresh, cached, killed = layers(), [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            seconds, first = timed(folder, asked)
            fresh.append(seconds)
            seconds, again = timed(folder, asked)
            cached.append(seconds)
        with tempfile.TemporaryDirectory() as folder:
            seconds, survived = timed(folder, asked, killing=True)
            killed.append(seconds)
        assert first == again == survived
    row = {
        "queries": COUNT, "workers": CORES, "fresh_seconds": median(fresh), "cached_seconds": median(cached),
        "killed_seconds": median(killed),
    }  # fmt: skip
    print(
        f"{COUNT} layers, {CORES} workers: fresh {row['fresh_seconds']:.2f} s, cached {row['cached_seconds']:.3f} s "
        f"({row['fresh_seconds'] / row['cached_seconds']:.0f}x), "
        f"all workers killed every 1.5 s: {row['killed_seconds']:.2f} s; equal answers"
    )
    write("queries", [row], seed=0, rounds=ROUNDS)


if __name__ == "__main__":
    main()
