"""The run: dense networks, every cell, and after each seed tables, figures and a page."""

import importlib.util
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from padless.cost.oracles import default_oracle
from padless.errors import UsageError
from padless.files import write_atomically
from padless.hardware import load_target
from padless.inputs import Images, LoadedModel, load_images, load_model, load_weights, weights_digest
from padless.progress import console
from padless.reproduction.figures import empty_figure
from padless.reproduction.measure import measured
from padless.reproduction.peers import PeerError
from padless.reproduction.protocol import MCT, TORCH_PRUNING, Protocol
from padless.reproduction.staircase import staircases
from padless.reproduction.store import Results
from padless.reproduction.subject import Subject
from padless.reproduction.written import write_everything
from padless.runs.prune import versions
from padless.train import Checkpoints, Recipe, finetune, make_fabric

PEERS = ("torch-pruning", "model-compression-toolkit")
NEEDS = {**dict.fromkeys(TORCH_PRUNING, "torch_pruning"), MCT: "model_compression_toolkit"}
FIXED = ("target", "data", "epochs", "images", "test_images")  # a results file is of one of each
DENSE_LR = 0.08
SCRATCH = ".training"


def reproduce(protocol: Protocol, *, data: str, weights: Path | None, out: Path, command: str) -> dict[str, Any]:
    """Fill all cells of `protocol` that `out/results.json` lacks; write tables, figures and the page after every seed.

    `weights` is a folder with NETWORK.safetensors; a network without a file there is trained first, into `out/weights`.
    A cell in which another tool fails is left out, and tried again by the next run. Returns the results. Raises
    UsageError for what is not there, or results of another protocol in `out`.
    """
    protocol = _checked(protocol, weights, out)
    first = load_model(f"cifar10/{protocol.networks[0]}")
    shape = first.input_shape[1:]
    whole = load_images(data, shape=shape, preprocess=first.preprocess)
    images = some(whole, protocol.images, protocol.test_images)
    facts = {
        **{key: value for key, value in asdict(protocol).items() if key in FIXED}, "commands": [command],
        "data": f"{Path(data).name} {whole.digest()}", "versions": versions(*PEERS), "seconds": 0.0, "weights": {},
        "trained": {}, "staircase": [],
    }  # fmt: skip
    results = Results(out, facts, FIXED)
    cells = [cell for cell in dict.fromkeys(protocol.cells()) if cell not in results]
    spent, started = results.facts["seconds"], time.monotonic()
    subjects: dict[str, Subject] = {}
    try:
        for n, cell in enumerate(cells, 1):
            if cell.network not in subjects:
                loaded = dense_network(cell.network, whole, protocol, weights, results)
                results.know_weights(cell.network, weights_digest(loaded.model))
                subjects[cell.network] = Subject(loaded, images, protocol.target)
            try:
                row = measured(subjects[cell.network], cell, protocol, out / SCRATCH)
            except PeerError as error:
                console.print(f"{n} of {len(cells)}: {cell}: {error}", style="yellow")
                continue
            results.facts["seconds"] = round(spent + time.monotonic() - started, 1)
            results.add(cell, row)
            console.print(f"{n} of {len(cells)}: {cell}: {_accuracy_text(row['accuracy'])}", highlight=False)
            shutil.rmtree(out / SCRATCH, ignore_errors=True)
            if n < len(cells) and cells[n].seed != cell.seed:
                _write(out, results, protocol)
    finally:
        for subject in subjects.values():
            subject.__exit__()
    shutil.rmtree(out / SCRATCH, ignore_errors=True)
    return _write(out, results, protocol)


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


def some(images: Images, train: int, test: int) -> Images:
    """At most so many images of each set (0: all), the same ones every time."""

    def chosen(count: int, of: int) -> torch.Tensor:
        order = torch.randperm(of, generator=torch.Generator().manual_seed(0))
        return order[: count or of].sort().values

    kept, tested = chosen(train, len(images.train)), chosen(test, len(images.test))
    return images.part(kept, tested)


def dense_network(name: str, whole: Images, protocol: Protocol, weights: Path | None, results: Results) -> LoadedModel:
    """A network with the weights that are given, those of an earlier start, or those that it is trained to here.

    Raises UsageError for a file that does not fit, and where earlier rows are of weights that are not at hand.
    """
    torch.manual_seed(0)
    loaded, out = load_model(f"cifar10/{name}"), results.file.parent
    own = out / "weights" / f"{name}.safetensors"
    file = next((f for f in (weights / own.name if weights else None, own) if f and f.exists()), None)
    if file:
        load_weights(loaded.model, file)
        return loaded
    if name in results.facts["weights"]:
        raise UsageError(f"{results.file} holds {name} with weights that are not at hand. Give --weights.")
    console.print(f"No weights for {name}: training it for {protocol.dense_epochs} epoch(s).")
    recipe = Recipe(epochs=protocol.dense_epochs, peak_lr=DENSE_LR, channels_last=True)
    finetune(loaded.model, whole, recipe, checkpoints=Checkpoints(out / SCRATCH / name), fabric=make_fabric())
    tensors = {key: value.cpu().clone().contiguous() for key, value in loaded.model.cpu().state_dict().items()}
    write_atomically(own, save(tensors))
    results.facts["trained"][name] = protocol.dense_epochs
    return loaded
