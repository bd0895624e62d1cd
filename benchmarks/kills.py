"""Kill -9 at random moments: does a fine-tuning, or a pruning run, end as one that was left alone?

    python benchmarks/kills.py [--kills 20] [--seed 0]

The demo's network on the digits, by the command line. A fine-tuning is killed and resumed, each time somewhere
within the seconds of a whole one; a pruning run is killed somewhere and started again. After every kill the folder of
results must be whole or not there; in the end weights and log must equal, byte for byte, those of an undisturbed run, and
the plans must be equal.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import write

from padless import Plan

PRUNE = ["prune", "padless.demo:DigitsResNet", "--data", "digits", "--target", "unit:16", "--budget", "macs=50%"]
TRAIN = ["--epochs", "6", "--batch", "100", "--lr", "0.1", "--checkpoint-every", "0.2", "--resume"]
WHOLE = {"plan.json", "model.safetensors", "summary.json", "report.html"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        pruned = tried("prune", PRUNE, place, given.kills, rng)
        trained = tried("finetune", ["finetune", str(place / "prune-left-alone"), *TRAIN], place, given.kills, rng)
    write("kills", [pruned, trained], seed=given.seed)


def tried(name: str, arguments: list[str], place: Path, kills: int, rng: random.Random) -> dict:
    """One row. Moments are spread over the seconds that an undisturbed run takes."""
    alone, killed = place / f"{name}-left-alone", place / f"{name}-killed"
    started = time.monotonic()
    run(arguments, alone).wait()
    seconds = time.monotonic() - started
    moments, half_written, ended = [], 0, 0
    while len(moments) < kills:
        process, moment = run(arguments, killed), rng.uniform(0.0, seconds)
        try:
            process.wait(moment)
            ended += 1  # it was done before the moment: another run begins
            if name == "finetune":
                assert same(alone, killed)
            for file in killed.iterdir():
                file.unlink()
            killed.rmdir()
            continue
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        step = place / f"{killed.name}.training" / "checkpoint.json"
        moments.append(
            {"seconds": round(moment, 2), "step": json.loads(step.read_text())["step"] if step.exists() else 0}
        )
        half_written += killed.exists() and not {p.name for p in killed.iterdir()} >= WHOLE
        print(f"{name}: killed after {moment:.2f} s, at step {moments[-1]['step']}", flush=True)
    assert run(arguments, killed).wait() == 0
    row = {
        "run": name, "kills": len(moments), "runs_that_ended_between": ended, "undisturbed_seconds": round(seconds, 1),
        "half_written": half_written, "same_result": same(alone, killed), "moments": moments,
    }  # fmt: skip
    print({k: v for k, v in row.items() if k != "moments"}, flush=True)
    return row


def run(arguments: list[str], out: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "padless", *arguments, "--out", str(out)], env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def same(one: Path, other: Path) -> bool:
    files = [f for f in ("model.safetensors", "log.csv") if (one / f).exists()]
    alike = all((one / f).read_bytes() == (other / f).read_bytes() for f in files)
    return alike and Plan.read(one / "plan.json") == Plan.read(other / "plan.json")


if __name__ == "__main__":
    main()
