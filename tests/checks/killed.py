"""Kill at every file event: `python -m checks.killed WHAT FOLDER [journal] [MOST] [at=N,N]` prints what each kill left, as JSON.

WHAT is save, export, prune, finetune or sweep. For each event that changes files (Python's audit hooks name them, and renameat2 is added) a
forked process does the work and kills itself just before; then it is looked at what is there, the same work is started again, and it is
looked at what lingers. A sweep may also be in between: each of its rows and runs is then whole, and is not done again. `journal`: the file system cannot exchange two folders in one step. MOST: that many events at most, evenly spread. `at`: those alone.
"""

import json
import os
import shutil
import signal
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from models.networks import small

from checks.reports import report
from checks.summaries import summary
from padless import Choices, Recipe, load_target, plan, prune
from padless.files import is_unfinished
from padless.report.summary import Summary
from padless.runs import exchange
from padless.runs.export import Handover, export_folder
from padless.runs.finetune import Finetuning, run_finetuning
from padless.runs.folder import save
from padless.runs.job import Job
from padless.runs.prune import run
from padless.runs.seal import _new_secret
from padless.runs.trust import TRUSTED
from padless.sweep import drive
from padless.sweep.runner import Here

EVENTS = {
    "open",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.remove",
    "os.link",
    "os.truncate",
    "os.chmod",
    "fcntl.flock",
    "fcntl.lockf",
    "exchange",
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main(what: str, place: Path, journal: bool, most: int | None, only: list[int]) -> None:
    torch.set_num_threads(1)
    os.environ |= {"XDG_STATE_HOME": str(place / "state"), "PADLESS_CACHE": ""}
    _new_secret()  # once, and not in the first run alone
    at_once = exchange._at_once

    def audited(new, folder):
        sys.audit("exchange")
        return not journal and at_once(new, folder)

    exchange._at_once = audited
    out = place / "runs" / "run"
    prepare, action = ACTIONS[what](place, out)
    state = state_of_sweep if what == "sweep" else state_of_run
    prepare()
    whole = {"old": state(out)}
    events = forked(action, out, None)
    whole["new"] = state(out)
    linger = sorted(os.listdir(out.parent))
    moments = range(1, events + 1)
    if only:
        moments = only
    elif most and events > most:
        moments = [1 + round(i * (events - 1) / (most - 1)) for i in range(most)]
    left, after, lingering, sound = {}, {}, [], []
    for event in moments:
        shutil.rmtree(out.parent, ignore_errors=True)
        prepare()
        assert state(out) == whole["old"]
        sound.append(forked(action, out, event) == -signal.SIGKILL)
        found = state(out)
        if found is None and journal:  # between two steps: whoever reads the folder ends the exchange
            exchange.mended(out)
            found = state(out)
        left[event] = next((name for name, files in whole.items() if files == found), f"half: {sorted(found or ())}")
        if what == "sweep" and found is not None and found.items() <= whole["new"].items():
            left[event] = "new" if found == whole["new"] else "between"
        stamps = stamps_of_rows(out)
        forked(action, out, None)
        after[event] = state(out) == whole["new"] and stamps.items() <= stamps_of_rows(out).items()
        lingering += [name for name in sorted(os.listdir(out.parent)) if name not in linger]
        lingering += [
            str(path.relative_to(out))
            for path in out.rglob("*")
            if is_unfinished(path) or path.suffix in (".lock", ".training")
        ]
    print(json.dumps({
        "events": events, "killed": sum(sound), "tried": len(left), "left": sorted(set(left.values())),
        **Counter(left.values()),
        "whole_again": all(after.values()), "lingering": lingering, "beside": linger,
    }))  # fmt: skip


def state_of_run(out: Path):
    """What is in a run's folder, but for moments and seconds; None where there is none."""
    if not out.exists():
        return None
    files = {p.name: p.read_bytes() if p.suffix != ".json" else b"" for p in out.iterdir()}
    files.pop("report.html", None)
    told = Summary.read(out)
    return {**files, "told": f"{told.seed} {told.epochs} {sorted(told.files)}".encode()}


def state_of_sweep(out: Path):
    """What rows say, but for seconds, and what their runs hold; and that its table and its page are there."""
    if not out.exists():
        return None
    rows = [json.loads(file.read_text()) for file in (out / "points").glob("*.json")]
    told = {row["id"]: {**row, "seconds": 0, "host": "", "attempts": 0} for row in rows}
    runs = {folder.name: state_of_run(folder) for folder in (out / "runs").glob("*") if visible(folder)}
    pages = {file.name: True for file in out.glob("[!.]*") if file.is_file()}
    return {**told, **runs, **pages}


def visible(folder: Path) -> bool:
    return not folder.name.startswith(".") and folder.suffix != ".training"


def stamps_of_rows(out: Path) -> dict[str, int]:
    """When each row was written, and each run's network."""
    files = [*out.glob("points/[!.]*.json"), *out.glob("runs/[!.]*/model.safetensors")]
    return {str(file): file.stat().st_mtime_ns for file in files}


def forked(action, out: Path, event: int | None) -> int:
    """Do it in a process of its own, killed before an event; the number of events, or minus the signal that ended it."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        count = 0
        place = str(out.parent)

        def hook(name, arguments):
            nonlocal count
            if name in EVENTS and ours(name, arguments, place):
                count += 1
                if count == event:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            sys.addaudithook(hook)
            action()
            os.write(writing, str(count).encode())
        finally:
            os._exit(0)
    os.close(writing)
    told = b"".join(iter(lambda: os.read(reading, 64), b""))
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else int(told or -1000)


def ours(name, arguments, place):
    """Whether an event changes something beside the run: not the caches of compilers, nor files that are only read."""
    if name in ("fcntl.flock", "fcntl.lockf", "exchange"):
        return True
    if name == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
        return False
    paths = [os.fsdecode(a) for a in arguments if isinstance(a, str | bytes | os.PathLike)]
    return any(
        path.startswith(place) or "/" not in path for path in paths
    )  # rmtree names files by their folder's descriptor


def saving(place, out):
    model = small()
    made = plan(model, torch.zeros(1, 3, 16, 16), target="unit:8", budget="macs=50%")
    cut = prune(model, made)
    return (lambda: save(out, cut, made, summary(seed=1), log="old")), (
        lambda: save(out, cut, made, summary(seed=2), report=report())
    )


def pruned(place, out):
    def job(seed):
        job = Job(model="models.networks:Small", target=load_target("unit:8"), budgets=("macs=60%",), out=out,
                  inputs=("1,3,16,16",), choices=Choices(seed=seed), command="padless prune")  # fmt: skip
        return lambda: run(job)

    return job(1), job(2)


def exporting(place, out):
    for package in ("onnx", "onnxscript", "onnxruntime", "torch.onnx"):
        import_module(package)  # once, and not in each process
    first, _ = pruned(place, out)
    return first, lambda: export_folder(out, Handover(formats=("onnx",)), TRUSTED)


def write_images(file):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 3, 16, 16), dtype=np.uint8)
    np.savez(file, x_train=pixels, y_train=np.arange(48) % 4, x_test=pixels[:8], y_test=np.arange(8) % 4)


def finetuning(place, out):
    write_images(place / "images.npz")
    dense = place / "dense"
    pruned(place, dense)[0]()

    def job(epochs):
        recipe = Recipe(epochs=epochs, batch=16, distill=0.0)
        repeated = type(TRUSTED)(data=str(place / "images.npz"), trust=True)
        job = Finetuning(folder=dense, out=out, recipe=recipe, repeated=repeated, accelerator="cpu", resume=True,
                         checkpoint_seconds=0.0, command="padless finetune")  # fmt: skip
        return lambda: run_finetuning(job)

    return job(1), job(2)


def sweeping(place, out):
    """Three points, of which one is fine-tuned and one only planned, in this very process."""
    write_images(place / "images.npz")
    common = {"model": "models.networks:Small", "target": "unit:8", "input_shape": ["1,3,16,16"]}
    tuned = {
        "data": str(place / "images.npz"),
        "calibration": 16,
        "finetune": {"epochs": 1, "batch": 16, "distill": 0.0},
    }
    points = [
        {**common, "budget": "macs=60%", **tuned},
        {**common, "budget": "macs=50%"},
        {**common, "budget": "macs=40%", "work": "plan"},
    ]
    drive.LocalRunner = lambda jobs, **_: Here()
    return (lambda: out.parent.mkdir(exist_ok=True)), (lambda: drive.sweep(points, out=out, jobs=1))


ACTIONS = {"save": saving, "prune": pruned, "export": exporting, "finetune": finetuning, "sweep": sweeping}

if __name__ == "__main__":
    words = sys.argv[3:]
    numbers = [int(word) for word in words if word.isdigit()]
    only = [int(number) for word in words if word.startswith("at=") for number in word[3:].split(",")]
    main(sys.argv[1], Path(sys.argv[2]), "journal" in words, numbers[0] if numbers else None, only)
