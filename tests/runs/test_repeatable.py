"""The same seed gives the same files: in other processes, with other hashes, with another number of threads."""

import json
import os
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

import padless

ROOT = Path(padless.__file__).parents[1]
DATA = ["--data", "digits", "--calibration", "128"]
PRUNE = ["prune", "padless.demo:DigitsResNet", *DATA, "--target", "unit:16", "--budget", "macs=50%"]
TUNE = ["--epochs", "1", "--batch", "200", "--seed", "3"]


def work(place: Path, hashes: str, threads: str, *commands: list[str]) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": hashes,
        "OMP_NUM_THREADS": threads,
        "PADLESS_CACHE": "",
    }
    place.mkdir()
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "padless", *command], cwd=place, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def without_seconds(data):
    """What does not depend on how busy the machine was."""
    if isinstance(data, dict):
        return {k: without_seconds(v) for k, v in data.items() if k not in ("seconds", "images_per_second")}
    return data


def test_files_are_the_same_to_the_byte(tmp_path):
    prune, tune = [*PRUNE, "--out", "run"], ["finetune", "run", *TUNE, "--out", "tuned"]
    cut_alone = [*PRUNE, "--recover", "none", "--out", "cut"]
    work(tmp_path / "one", "1", "1", prune, tune, cut_alone)
    work(tmp_path / "two", "2", "1", prune, tune)
    work(tmp_path / "threads", "3", "2", prune, cut_alone)
    one, two, threads = (tmp_path / name for name in ("one", "two", "threads"))
    for name in (
        "run/plan.json",
        "run/model.safetensors",
        "tuned/plan.json",
        "tuned/model.safetensors",
        "tuned/log.csv",
    ):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    for folder in ("run", "tuned"):
        told = [json.loads((place / folder / "summary.json").read_text()) for place in (one, two)]
        assert without_seconds(told[0]) == without_seconds(told[1])
    for name in ("run/plan.json", "cut/plan.json", "cut/model.safetensors"):
        assert (one / name).read_bytes() == (threads / name).read_bytes(), name
    weights = [load_file(place / "run/model.safetensors") for place in (one, threads)]
    for name, tensor in weights[0].items():  # sums in another order, and a system of equations solved with them
        apart = (tensor.double() - weights[1][name].double()).abs().max()
        assert apart <= 0.01 * tensor.double().abs().max(), name
    plan = json.loads((one / "run" / "plan.json").read_text())
    assert plan["solver"] and "seconds" not in plan["solver"]
