"""What of the networks that people bring can be traced, cut, checked, priced as a whole and exported.

    pip install -r benchmarks/real_networks.txt
    python benchmarks/real_networks.py [NAME ...] [--jobs 2] [--limit-seconds 420] [--skip export]

Random weights. Each network, in a process of its own, is traced; half of its MACs are asked for by L1 on `unit:16` and on
`ethos-u85-512`; the small network must equal the masked original; avoidable waste is read off the small network; the
dense one is lowered and compiled for ethos-u85-512 as a whole, or the reason is noted; the small one is exported to ONNX.
Rows are kept as they come: a stopped run goes on, and names given anew are measured anew.
"""

import argparse
import json
import multiprocessing as mp
import re
import resource
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from common import RESULTS, rows_of, write
from real_networks_list import NETWORKS
from torch import nn

TARGETS = ("unit:16", "ethos-u85-512")
PACKAGES = ("ultralytics", "segmentation-models-pytorch", "kornia", "transformers", "diffusers", "pytorchcv")
KEPT = 0.5  # of the MACs


def awake(model: nn.Module) -> nn.Module:
    """Statistics and zeros that hide nothing: norms get random ones, what is all zeros or all ones some noise."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return model.eval()


def measured(name: str, skip: list[str]) -> dict[str, Any]:
    """A network's row. An error of ours that is no PadlessError stands in `traceback`."""
    import padless
    from padless.errors import PadlessError

    torch.set_num_threads(1)
    torch.manual_seed(0)
    row: dict[str, Any] = {"network": name, "traces": False}
    try:
        model, inputs = NETWORKS[name]()
        awake(model)
    except Exception as error:
        return {**row, "not_built": f"{type(error).__name__}: {error}"[:300]}
    started, before = time.monotonic(), _memory()
    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "trace": lambda: _traced(model, inputs),
        **{target: lambda target=target: _cut(model, inputs, target) for target in TARGETS},
        "whole": lambda: _whole(model, inputs),
        "export": lambda: _exported(model, inputs),
    }
    for step, run in steps.items():
        if step in skip:
            continue
        try:
            row |= run()
        except PadlessError as error:
            row[f"{step} refused"] = re.sub(r"\S*/site-packages/", "", str(error))[:400]
        except Exception:
            row["traceback"] = traceback.format_exc()[-1500:]
        if step == "trace" and not row["traces"]:
            break
    return {**row, "seconds": round(time.monotonic() - started, 1), "memory_bytes": _memory() - before,
            "padless": padless.__version__}  # fmt: skip


def _memory() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _traced(model: nn.Module, inputs: tuple[Any, ...]) -> dict[str, Any]:
    from padless import trace
    from padless.cost import reach

    started = time.monotonic()
    graph = trace(model, *inputs)
    seconds = time.monotonic() - started
    return {
        "traces": True, "trace_seconds": round(seconds, 3), "layers": len(graph.layers),
        "macs_that_can_be_cut_percent": round(reach(graph).macs_percent, 1),
    }  # fmt: skip


def _cut(model: nn.Module, inputs: tuple[Any, ...], target: str) -> dict[str, Any]:
    """Half of the MACs, by the closed form of the padding: no compiler is asked."""
    from padless import plan
    from padless.choose.replay import prune_with_error
    from padless.cost.pricing import Pricing
    from padless.errors import InfeasibleError
    from padless.hardware import load_target

    started = time.monotonic()
    hardware = load_target(target)

    def ceil(shapes: Any) -> list[int]:  # cycles are not what is looked at here
        return [shape.macs for shape in shapes]

    try:
        made = plan(model, *inputs, target=hardware, budget=f"macs={100 * KEPT:g}%", oracle=ceil)
    except InfeasibleError as error:
        return {f"{target} infeasible": str(error)[:300]}
    small, error = prune_with_error(model, made)
    with Pricing(small, inputs, hardware, oracle=ceil) as pricing:
        totals = pricing.dense().totals()
    return {
        f"{target} macs_percent": round(100 * made.after["macs"] / made.before["macs"], 1),
        f"{target} avoidable_percent": totals["avoidable_macs_percent"],
        f"{target} error": error,
        f"{target} seconds": round(time.monotonic() - started, 1),
    }


def _whole(model: nn.Module, inputs: tuple[Any, ...]) -> dict[str, Any]:
    from padless import inspect

    cycles = inspect(model, *inputs, target="ethos-u85-512").cycles
    assert cycles is not None
    return {"whole": cycles.whole, "cpu_operators": cycles.cpu_operators, "note": cycles.note[:300]}


def _exported(model: nn.Module, inputs: tuple[Any, ...]) -> dict[str, Any]:
    from padless import export, plan, prune

    made = plan(model, *inputs, target="unit:16", budget=f"macs={100 * KEPT:g}%")
    example = inputs[0] if len(inputs) == 1 else inputs
    with tempfile.TemporaryDirectory() as folder:
        error = export(prune(model, made), example, Path(folder) / "model.onnx").parity
    return {"onnx_error": error}


def _child(name: str, skip: list[str], pipe: Any) -> None:
    warnings.filterwarnings("ignore")
    pipe.send(measured(name, skip))


def apart(name: str, limit: float, skip: list[str]) -> dict[str, Any]:
    """The row, measured in a process of its own that may take `limit` seconds."""
    here, there = mp.get_context("spawn").Pipe()
    process = mp.get_context("spawn").Process(target=_child, args=(name, skip, there))
    process.start()
    there.close()
    row: dict[str, Any] = {"network": name, "traces": False, "ended": f"took more than {limit:g} s, or crashed"}
    try:
        if here.poll(limit):
            row = here.recv()
    except EOFError:
        pass
    process.kill()
    process.join()
    return row


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the page says."""
    built = [row for row in rows if "not_built" not in row]
    lowered = [row for row in built if "whole" in row]
    cuts = [row for row in built for t in TARGETS if f"{t} error" in row]
    return {
        "networks": len(built),
        "traced": sum(row["traces"] for row in built),
        "refused": sum("trace refused" in row for row in built),
        "tracebacks": sum("traceback" in row for row in built),
        "cuts": len(cuts),
        "largest_error": max((row[f"{t} error"] for row in built for t in TARGETS if f"{t} error" in row), default=0.0),
        "largest_avoidable_percent": max(
            (row[f"{t} avoidable_percent"] for row in built for t in TARGETS if f"{t} error" in row), default=0.0
        ),
        "whole": sum(row["whole"] for row in lowered),
        "priced": len(lowered),
        "exported": sum("onnx_error" in row for row in built),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit-seconds", type=float, default=420)
    parser.add_argument("--skip", nargs="*", default=[], help="steps to leave out: whole, export, unit:16 …")
    given = parser.parse_args()
    rows = (
        {row["network"]: row for row in rows_of("real_networks")} if (RESULTS / "real_networks.json").exists() else {}
    )
    names = given.names or [name for name in NETWORKS if name not in rows]
    with ThreadPoolExecutor(given.jobs) as pool:
        for row in pool.map(lambda name: apart(name, given.limit_seconds, given.skip), names):
            rows[row["network"]] = row
            print(json.dumps(row), flush=True)
            ordered = [rows[name] for name in NETWORKS if name in rows]
            write("real_networks", ordered, **summary(ordered), installed=_installed(), seed=0)


def _installed() -> dict[str, str]:
    from padless.runs.facts import versions

    return {name: version for name, version in versions(*PACKAGES).items() if name in PACKAGES}


if __name__ == "__main__":
    main()
