"""Which networks can be cut: padless and Torch-Pruning on every torchvision CNN and on timm's families.

python benchmarks/coverage.py [--jobs 2] [--limit-seconds 60] [--resume] [NAME ...]

Random weights with distinct values, the smallest legal input of a few sizes, half of the channels of every group by L1,
in multiples of the target's unit. Ours counts as handled when it is traced, cut, runs, equals the masked original, fills
whole units wherever that is possible, and at least half of the MACs can be cut. Torch-Pruning counts as done when it
prunes and the result runs; whether the result computes the right function cannot be told from outside.
"""

import argparse
import copy
import json
import multiprocessing as mp
import re
import statistics
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any

import torch
from common import RESULTS, write
from networks_list import CONVOLUTIONAL, HYBRID

from padless.progress import bar

SIZES = (64, 96, 128, 224, 256, 299)
TARGETS = ("unit:16", "unit:32x16")
# Below half of the MACs for a reason that no tool can change.
FACTS: dict[str, str] = {}
PARTIAL = RESULTS / "coverage.partial.jsonl"


def torchvision_names() -> list[str]:
    """Every classification network of torchvision that convolves; vit and swin do not."""
    from padless.inputs.zoo import load_model

    load_model("torchvision/resnet18")  # makes the import work everywhere
    from torchvision import models

    names = [n for n in models.list_models(module=models) if not n.startswith(("vit", "swin"))]
    return [f"torchvision/{n}" for n in names]


def prepared(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    """The network with distinct random weights, and an input of the smallest size that it takes."""
    from padless.inputs.zoo import load_model

    torch.manual_seed(0)
    model = load_model(name).model.eval()
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._NormBase) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    with torch.no_grad():
        for p in model.parameters():
            if p.numel() > 1 and bool((p == p.flatten()[0]).all()):
                p.add_(0.2 * torch.randn(p.shape, generator=generator) + (0.5 if not p.any() and p.ndim == 1 else 0))
    fixed = getattr(model, "default_cfg", {}) or {}
    sizes = [fixed["input_size"][-1]] if fixed.get("fixed_input_size") or "test_" in name else SIZES
    for size in sizes:
        x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))
        try:
            with torch.no_grad():
                model(x)
        except Exception:
            continue
        return model, x
    raise RuntimeError(f"runs on none of the sizes {list(sizes)}")


def ours(name: str) -> dict[str, Any]:
    """One row of ours: both targets on one graph."""
    from padless import load_target, trace
    from padless.align import aligned_levels
    from padless.choose import RATIOS
    from padless.cost import network_cost, reach
    from padless.cut import cut, equivalence_error
    from padless.cut.equivalence import awakened
    from padless.graph import narrowed
    from padless.importance import importance

    model, x = prepared(name)
    model = awakened(model) or model  # single numbers that are zero
    start = time.perf_counter()
    graph = trace(model, x)
    traced = time.perf_counter()
    found = reach(graph)
    reasons: Counter[str] = Counter()
    for group in found.pinned:
        if group.pinned != "output of the network":
            reasons[re.sub(r" \(module.*", "", group.pinned or "")] += group.width
    row: dict[str, Any] = {
        "input": list(x.shape),
        "cuttable_macs_percent": round(found.macs_percent, 2),
        "stays": dict(reasons.most_common(3)),
        "trace_seconds": round(traced - start, 4),
    }
    for target_name in TARGETS:
        clock = [time.perf_counter()]
        target = load_target(target_name)
        levels = aligned_levels(graph, target)
        scores = importance(graph, model)
        keep = scores.strongest(graph, RATIOS["uniform"](graph, scores, levels, 0.5))
        clock.append(time.perf_counter())
        small = cut(model, graph, keep)
        clock.append(time.perf_counter())
        error = equivalence_error(model, small, graph, keep)  # raises when it does not run or is not equal
        clock.append(time.perf_counter())
        before = network_cost(graph, graph.layers, target, levels.fixed, None).cost
        after = network_cost(graph, narrowed(graph, keep), target, levels.fixed, None).cost
        row[target_name] = {
            "error": error,
            "aligned": after.padded_macs == after.floor_macs,
            "macs_kept_percent": round(100 * after.macs / before.macs, 2),
            "wasted_macs_percent": [round(before.wasted_macs_percent, 2), round(after.wasted_macs_percent, 2)],
            "avoidable_macs_percent": [round(before.avoidable_macs_percent, 2), round(after.avoidable_macs_percent, 2)],
            "plan_cut_check_seconds": [round(b - a, 4) for a, b in pairwise(clock)],
        }
    return row


def theirs(name: str) -> dict[str, Any]:
    """One row of Torch-Pruning, which is told not to touch the classes."""
    import torch_pruning as tp

    from padless import trace

    model, x = prepared(name)
    macs = sum(layer.macs for layer in trace(model, x).layers)
    classes = [m for m in model.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)]
    ends = {m for m in classes if 1000 in (getattr(m, "out_features", 0), getattr(m, "out_channels", 0))}
    pruned, memo = None, {}
    pruned = copy.deepcopy(model, memo)
    start = time.perf_counter()
    pruner = tp.pruner.MetaPruner(
        pruned, x, importance=tp.importance.GroupMagnitudeImportance(p=1), pruning_ratio=0.5, round_to=16,
        ignored_layers=[memo[id(m)] for m in ends],
    )  # fmt: skip
    pruner.step()
    seconds = time.perf_counter() - start
    with torch.no_grad():
        pruned(x)
    try:
        layers = trace(pruned, x).layers
    except Exception:
        return {"seconds": round(seconds, 3)}
    outputs = [ly.c_out % 16 == 0 for ly in layers if ly.kind != "linear"]
    return {
        "seconds": round(seconds, 3),
        "macs_kept_percent": round(100 * sum(ly.macs for ly in layers) / macs, 2),
        "aligned_outputs_percent": round(100 * sum(outputs) / max(1, len(outputs)), 1),
    }


SIDES = {"padless": ours, "torch_pruning": theirs}


def serve(side: str, pipe: Connection) -> None:
    """A worker: answers names with rows until the pipe closes."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    while True:
        try:
            name = pipe.recv()
        except EOFError:
            return
        try:
            row = SIDES[side](name)
        except Exception as error:
            row = {"failed": type(error).__name__, "message": str(error).strip().splitlines()[:1]}
        pipe.send(row)


class Worker:
    """A process that can be killed: one network may hang or crash, the next is asked of a fresh one."""

    def __init__(self, side: str, limit: float) -> None:
        self.side, self.limit = side, limit
        self.process: Any = None

    def ask(self, name: str) -> dict[str, Any]:
        if self.process is None or not self.process.is_alive():
            context = mp.get_context("spawn")
            self.pipe, other = context.Pipe()
            self.process = context.Process(target=serve, args=(self.side, other), daemon=True)
            self.process.start()
        self.pipe.send(name)
        try:
            if self.pipe.poll(self.limit):
                row: dict[str, Any] = self.pipe.recv()
                return row
            reason = {"failed": "Timeout", "message": [f"no result within {self.limit:.0f} s"]}
        except EOFError:
            reason = {"failed": "Crash", "message": ["the process died"]}
        self.process.kill()
        self.process.join()
        return reason


def handled(name: str, row: dict[str, Any]) -> bool:
    """Whether ours is right, aligned, and reaches half of the MACs (or says why it cannot)."""
    if "failed" in row or not all(row[target]["aligned"] for target in TARGETS):
        return False
    return row["cuttable_macs_percent"] >= 50 or any(re.fullmatch(pattern, name) for pattern in FACTS)


def line(name: str, side: str, row: dict[str, Any]) -> str:
    if "failed" in row:
        said = f"{row['failed']} {row['message']}"
    elif side == "torch_pruning":
        said = f"{row['seconds']:.1f} s, kept {row.get('macs_kept_percent')} % of the MACs"
    else:
        waste, worst = row[TARGETS[0]]["wasted_macs_percent"], max(row[target]["error"] for target in TARGETS)
        verdict = "ok " if handled(name, row) else "NOT"
        said = f"{verdict} cuttable {row['cuttable_macs_percent']:5.1f} %"
        said += f" waste {waste[0]:4.1f}->{waste[1]:4.1f} % error {worst:.0e}"
    return f"{side:14}{name:40} {said}"


def summary(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    kinds = {
        "torchvision": [n for n in rows if n.startswith("torchvision/") and "maxvit" not in n],
        "timm": [n for n in rows if n.removeprefix("timm/") in CONVOLUTIONAL],
        "hybrids": [n for n in rows if n.removeprefix("timm/") in HYBRID or "torchvision/maxvit" in n],
    }
    out = {}
    for kind, names in kinds.items():
        good = [n for n in names if handled(n, rows[n]["padless"])]
        peer = [n for n in names if "failed" not in rows[n]["torch_pruning"]]
        out[kind] = {
            "networks": len(names),
            "padless": len(good),
            "padless_percent": round(100 * len(good) / max(1, len(names)), 2),
            "torch_pruning": len(peer),
            "torch_pruning_percent": round(100 * len(peer) / max(1, len(names)), 2),
            "not_handled": [n for n in names if n not in good],
        }
        seconds = [rows[n]["padless"]["trace_seconds"] for n in names if "failed" not in rows[n]["padless"]]
        out[kind]["median_trace_seconds"] = round(statistics.median(seconds), 4) if seconds else None
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--limit-seconds", type=float, default=60, help="for Torch-Pruning; ours has five times as many"
    )
    parser.add_argument("--resume", action="store_true", help="go on after a run that was stopped")
    parser.add_argument("--side", choices=list(SIDES), help="only this one; the other with --resume later")
    given = parser.parse_args()
    names = given.names or [*torchvision_names(), *(f"timm/{n}" for n in [*CONVOLUTIONAL, *HYBRID])]
    rows: dict[str, dict[str, Any]] = {name: {} for name in names}
    if not given.resume:
        PARTIAL.unlink(missing_ok=True)
    for known in map(json.loads, PARTIAL.read_text().splitlines() if PARTIAL.exists() else ()):
        rows.get(known["name"], {})[known["side"]] = known["row"]
    sides = [given.side] if given.side else list(SIDES)
    todo = iter([(n, side) for n in names for side in sides if side not in rows[n]])
    limits = {"padless": 5 * given.limit_seconds, "torch_pruning": given.limit_seconds}

    def work(_: int) -> None:
        workers = {side: Worker(side, limits[side]) for side in sides}
        for name, side in todo:
            rows[name][side] = workers[side].ask(name)
            print(line(name, side, rows[name][side]), flush=True)
            with PARTIAL.open("a") as file:
                file.write(json.dumps({"name": name, "side": side, "row": rows[name][side]}) + "\n")
            shown.advance(1, name)

    with bar("Cutting networks", len(names) * len(sides)) as shown, ThreadPoolExecutor(given.jobs) as pool:
        list(pool.map(work, range(given.jobs)))
    if any(len(row) < len(SIDES) for row in rows.values()):
        print("One side is done; run again with --resume for the other.")
        return
    found = summary(rows)
    print(json.dumps(found, indent=1))
    write("coverage", [{"name": n, **rows[n]} for n in names], summary=found, targets=TARGETS, seed=0,
          limit_seconds=given.limit_seconds, facts=FACTS)  # fmt: skip
    PARTIAL.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
