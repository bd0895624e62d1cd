"""The run: dense networks, every cell, and after each seed tables, figures and a page."""

import importlib.util
import shutil
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from padless.cost.oracles import default_oracle
from padless.errors import PadlessError, UsageError
from padless.files import write_atomically
from padless.hardware import load_target
from padless.inputs import Images, load_model, load_weights, weights_bytes, weights_digest
from padless.pool import CORES
from padless.progress import console
from padless.reproduction.cells import close_subjects, images_at
from padless.reproduction.figures import empty_figure
from padless.reproduction.protocol import MCT, TORCH_PRUNING, Protocol
from padless.reproduction.staircase import staircases
from padless.reproduction.store import Results
from padless.reproduction.written import write_everything
from padless.runs.facts import versions
from padless.sweep.local import LocalRunner
from padless.sweep.runner import Ended, Here, Runner, Task, next_of
from padless.train import Checkpoints, Recipe, finetune, make_fabric

PEERS = ("torch-pruning", "model-compression-toolkit")
NEEDS = {**dict.fromkeys(TORCH_PRUNING, "torch_pruning"), MCT: "model_compression_toolkit"}
FIXED = ("target", "data", "epochs", "images", "test_images")  # a results file is of one of each
DENSE_LR = 0.08
SCRATCH = ".training"


def reproduce(
    protocol: Protocol, *, data: str, weights: Path | None, out: Path, command: str, jobs: int = 1
) -> dict[str, Any]:
    """Fill all cells of `protocol` that `out/results.json` lacks; write tables, figures and the page after every seed.

    `weights` is a folder with NETWORK.safetensors; a network without a file there is trained first, into `out/weights`.
    `jobs` above 1 are processes that share the cells, and this machine's cores. A cell in which another tool fails is left
    out, and tried again by the next run. Returns the results. Raises UsageError for what is not there, or results of another
    protocol in `out`.
    """
    protocol = _checked(protocol, weights, out)
    whole = images_at(data, protocol.networks[0])
    facts = {
        **{key: value for key, value in asdict(protocol).items() if key in FIXED}, "commands": [command],
        "data": f"{Path(data).name} {whole.digest()}", "versions": versions(*PEERS), "seconds": 0.0, "weights": {},
        "trained": {}, "staircase": [],
    }  # fmt: skip
    results = Results(out, facts, FIXED)
    cells = [cell for cell in dict.fromkeys(protocol.cells()) if cell not in results]
    spent, started = results.facts["seconds"], time.monotonic()
    runner: Runner = Here() if jobs == 1 else LocalRunner(jobs, cpus=max(1, CORES // jobs))
    try:
        files = {
            network: _dense_file(network, whole, protocol, weights, results)
            for network in dict.fromkeys(cell.network for cell in cells)
        }
        for n, cell in enumerate(cells):
            scratch = out / SCRATCH if jobs == 1 else out / SCRATCH / str(n)
            runner.submit(Task(
                id=str(n), function="padless.reproduction.cells:do_cell", group=cell.network,
                arguments={
                    "cell": asdict(cell), "protocol": asdict(protocol), "data": data, "weights": str(files[cell.network]),
                    "scratch": str(scratch),
                },
            ))  # fmt: skip
        left = Counter(cell.seed for cell in cells)
        for n in range(1, len(cells) + 1):
            ended = _next(runner)
            cell = cells[int(ended.task.id)]
            if "left_out" in ended.result:
                console.print(f"{n} of {len(cells)}: {cell}: {ended.result['left_out']}", style="yellow")
            else:
                row = ended.result["row"]
                results.facts["seconds"] = round(spent + time.monotonic() - started, 1)
                results.add(cell, row)
                console.print(f"{n} of {len(cells)}: {cell}: {_accuracy_text(row['accuracy'])}", highlight=False)
            shutil.rmtree(ended.task.arguments["scratch"], ignore_errors=True)
            left[cell.seed] -= 1
            if n < len(cells) and not left[cell.seed]:
                _write(out, results, protocol)
    finally:
        runner.close()
        close_subjects()
    shutil.rmtree(out / SCRATCH, ignore_errors=True)
    return _write(out, results, protocol)


def _next(runner: Runner) -> Ended:
    """The next task that ends. Raises UsageError or PadlessError for one that failed."""
    ended = next_of(runner)
    if ended.error:
        raise UsageError(ended.error) if ended.refused else PadlessError(f"A cell failed: {ended.error}")
    return ended


def _checked(protocol: Protocol, weights: Path | None, out: Path) -> Protocol:
    """The protocol without the tools that are not installed. Raises UsageError before hours are spent."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; it stays as it is. Give --out a folder.")
    if weights and not weights.is_dir():
        raise UsageError(f"No folder {weights}. Give --weights a folder with NETWORK.safetensors, or leave it out.")
    empty_figure()
    if protocol.budgets and default_oracle(load_target(protocol.target)) is None:
        raise UsageError(f'{protocol.target} has no cycles to be equal in. Give --budgets "", or another target.')
    missing = [m for m in protocol.methods if m in NEEDS and importlib.util.find_spec(NEEDS[m]) is None]
    for method in missing:
        console.print(
            f"{method} is not installed (the module {NEEDS[method]}), so its rows are left out.", style="yellow"
        )
    return replace(protocol, methods=tuple(m for m in protocol.methods if m not in missing))


def _write(out: Path, results: Results, protocol: Protocol) -> dict[str, Any]:
    results.facts["staircase"] = staircases(results.rows, protocol.target)
    results.write()
    content = {**results.facts, "rows": results.rows}
    write_everything(out, content)
    return content


def _accuracy_text(accuracy: float | None) -> str:
    return "out of its reach" if accuracy is None else f"{accuracy:.2f} %"


def _dense_file(network: str, whole: Images, protocol: Protocol, weights: Path | None, results: Results) -> Path:
    """A network's weights: those that are given, those of an earlier start, or those that it is trained to here.

    Raises UsageError for a file that does not fit, and where earlier rows are of weights that are not at hand.
    """
    torch.manual_seed(0)
    model, out = load_model(f"cifar10/{network}").model, results.file.parent
    own = out / "weights" / f"{network}.safetensors"
    file = next((f for f in (weights / own.name if weights else None, own) if f and f.exists()), None)
    if file:
        load_weights(model, file)
    elif network in results.facts["weights"]:
        raise UsageError(f"{results.file} holds {network} with weights that are not at hand. Give --weights.")
    else:
        file = own
        console.print(f"No weights for {network}: training it for {protocol.dense_epochs} epoch(s).")
        recipe = Recipe(epochs=protocol.dense_epochs, peak_lr=DENSE_LR, channels_last=True)
        finetune(model, whole, recipe, checkpoints=Checkpoints(out / SCRATCH / network), fabric=make_fabric())
        write_atomically(own, weights_bytes(model.cpu()))
        results.facts["trained"][network] = protocol.dense_epochs
    results.know_weights(network, weights_digest(model))
    return file
