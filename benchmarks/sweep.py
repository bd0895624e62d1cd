"""Sweeps: their overhead a job, and that they give what single runs give, with both runners.

python benchmarks/sweep.py overhead            1,000 planning points on this machine
python benchmarks/sweep.py same [--points 24] [--alone 24]
                                               ResNet-18, 2 targets x 4 budgets x 3 seeds, recovery and an epoch on 1,024
                                               images, beside `padless prune` and `padless finetune` alone

They write results/sweep_overhead.json and sweep_same.json. Times are of a machine that may be busy: the overhead is what
the workers' time exceeds the jobs' by, once both have begun.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import SHARED, need_shared, write

from padless import load_images, sweep
from padless.files import write_json
from padless.sweep.gather import read_rows
from padless.sweep.store import open_store

IMAGES, TESTED = 1_024, 500
CALIBRATION = 128  # images of recovery: their number is a matter of time alone here
STARTED = 20  # jobs until both workers have what they need
NOISE = ("seconds", "host", "attempts")  # of a row: what may differ


def thousand() -> list[dict[str, Any]]:
    """Points that plan alone: 2 targets x 13 budgets x 4 criteria x 2 allocations x 10 seeds, and the first 1,000."""
    points = [
        {
            "model": "padless.demo:DigitsResNet", "work": "plan", "target": target, "budget": f"padded_macs={share}%",
            "importance": importance, "allocate": allocate, "seed": seed,
        }
        for seed in range(10) for target in ("unit:8", "unit:16") for share in range(30, 95, 5)
        for importance in ("l1", "l2", "random", "fpgm") for allocate in ("optimal", "uniform")
    ]  # fmt: skip
    return points[:1_000]


def overhead(folder: Path) -> list[dict[str, Any]]:
    rows = []
    for runner, options in (("local", {"jobs": 2}), ("Ray", {"ray": True})):
        out, points = folder / runner, thousand()
        started = time.monotonic()
        done = sweep(points, out=out, **options)
        wall = time.monotonic() - started
        busy = sum(row["seconds"] for row in done)
        ends = sorted(
            (path.stat().st_mtime, json.loads(path.read_text())["seconds"]) for path in (out / "points").iterdir()
        )
        later = ends[STARTED:]  # without the first jobs, which import and build
        free = 2 * (later[-1][0] - ends[STARTED - 1][0]) - sum(seconds for _, seconds in later)
        started = time.monotonic()
        again = sweep(points, out=out, **options)
        rows.append({
            "runner": runner, "points": len(points), "lost": len(points) - len(done), "seconds": round(wall, 1),
            "statuses": sorted({row["status"] for row in done}), "job_seconds": round(busy, 1),
            "overhead_ms_a_job": round(1000 * free / len(later), 2),
            "second_run_seconds": round(time.monotonic() - started, 1),
            "second_run_same": again == done,
        })  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    return rows


def same(folder: Path, count: int, alone_count: int) -> dict[str, Any]:
    """Rows of both runners and of commands alone, compared number by number."""
    images = load_images(str(SHARED / "data" / "cifar10-jpeg"), shape=(3, 32, 32))
    weights = str(SHARED / "weights" / "resnet18.safetensors")
    small = folder / "images.npz"
    np.savez(
        small, train=images.train[:IMAGES].numpy(), train_labels=images.train_labels[:IMAGES].numpy(),
        test=images.test[:TESTED].numpy(), test_labels=images.test_labels[:TESTED].numpy(),
    )  # fmt: skip
    points = [
        {
            "model": "cifar10/resnet18", "weights": weights, "data": str(small), "target": target, "seed": seed,
            "budget": f"cycles={share}%", "calibration": CALIBRATION, "finetune": {"epochs": 1},
        }
        for seed in (0, 1, 2) for target in ("ethos-u55-256", "ethos-u85-512") for share in (50, 35, 25, 15)
    ][:count]  # fmt: skip
    found: dict[str, dict[str, Any]] = {}
    seconds: dict[str, float | None] = {}  # none where an earlier run had begun
    for runner, options in (("local", {"jobs": 2}), ("Ray", {"ray": True})):
        started, fresh = time.monotonic(), not (folder / f"same-{runner}").exists()
        sweep(points, out=folder / f"same-{runner}", **options)
        seconds[runner] = round(time.monotonic() - started, 1) if fresh else None
        rows = read_rows(open_store(str(folder / f"same-{runner}")))
        found[runner] = {id: {k: v for k, v in row.items() if k not in NOISE} for id, row in rows.items()}
        print(runner, "done", flush=True)
    equal = found["local"] == found["Ray"]
    started, differing, accuracies, fresh = time.monotonic(), [], [], not (folder / "alone").exists()
    for id, row in list(found["local"].items())[:alone_count]:
        alone = _alone(row["point"], folder / "alone" / id)
        accuracies.append((row["before"]["accuracy"], row["after"]["accuracy"]))
        if any(alone[side] != row[side] for side in ("before", "after")):
            differing.append(id)
        print(id, row["point"]["target"], row["point"]["budget"], row["after"]["accuracy"], id in differing, flush=True)
    seconds["alone"] = round(time.monotonic() - started, 1) if fresh else None
    return {
        "points": len(points), "runners_equal": equal, "differ_from_commands_alone": differing, "seconds": seconds,
        "compared_with_commands_alone": len(accuracies),
        "accuracies": accuracies,
    }  # fmt: skip


def _alone(point: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the two commands write, or wrote in an earlier run of this."""
    kept = folder.with_suffix(".json")
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    shutil.rmtree(folder, ignore_errors=True)
    words = ["--target", point["target"], "--budget", point["budget"][0], "--seed", str(point.get("seed", 0))]
    files = ["--weights", point["weights"], "--data", point["data"], "--calibration", str(point["calibration"])]
    for command in (
        ["prune", point["model"], *words, *files, "--out", str(folder / "run")],
        ["finetune", str(folder / "run"), "--epochs", "1", "--seed", str(point.get("seed", 0))],
    ):
        subprocess.run(
            ["padless", *command], check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    write_json(kept, json.loads((folder / "run-finetuned" / "summary.json").read_text()))
    shutil.rmtree(folder)
    return dict(json.loads(kept.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("overhead", "same"))
    parser.add_argument("--points", type=int, default=24)
    parser.add_argument("--alone", type=int, default=24, help="How many of them are also done by the commands alone.")
    parser.add_argument("--folder", type=Path, help="Where the sweeps go; a stopped one goes on there.")
    asked = parser.parse_args()
    if asked.part == "same":
        need_shared()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        found: Any = overhead(folder) if asked.part == "overhead" else same(folder, asked.points, asked.alone)
    write(f"sweep_{asked.part}", found)


if __name__ == "__main__":
    main()
