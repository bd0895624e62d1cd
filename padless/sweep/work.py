"""What a worker does with a point. It keeps the last networks with their images, accuracies and importances."""

import shutil
import socket
import tempfile
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from padless.choose.budget import read_budgets
from padless.choose.planning import make_plan
from padless.cost.cache import hand_over, recorded
from padless.cost.oracle import CachedOracle
from padless.cost.oracles import open_oracle
from padless.cost.pricing import Pricing
from padless.errors import PadlessError
from padless.graph import LayerShape, narrowed
from padless.hardware import load_target
from padless.inputs import parse_inputs
from padless.report.summary import Summary
from padless.runs.dense import Dense
from padless.runs.exchange import mended
from padless.runs.finetune import Finetuning, run_finetuning, run_until
from padless.runs.folder import SUMMARY
from padless.runs.job import Job
from padless.runs.prune import open_dense, run
from padless.runs.trust import Repeated
from padless.sweep.claims import claimed
from padless.sweep.halving import HELD_OUT
from padless.sweep.point import Point, point_of
from padless.sweep.runner import shared
from padless.sweep.store import open_store

MARK = ".sweep"  # in the sweep's folder: a worker that does not see it is on a machine that does not share the folder
RUNS = "runs"
KEPT = 2  # networks with their images
SHAPES = TypeAdapter(list[LayerShape])

_sources: OrderedDict[Hashable, Dense] = OrderedDict()


def do_point(
    point: Mapping[str, Any],
    id: str,
    where: str,
    mark: str,
    answers: Any,
    tell: bool,
    devices: int,
    files: Sequence[str],
    halve: bool = False,
    until: int | None = None,
) -> dict[str, Any]:
    """One point: {"row": what was measured}, and with `tell` the costs that were asked for meanwhile.

    {"elsewhere": True} where another sweep works on it at this moment. With `halve` some training images are held out, and
    with `until` it is trained up to that epoch alone and tested on them: {"score": percent}. `files` are those that the
    machine of the sweep sees; raises PadlessError where this one does not.
    """  # fmt: skip
    started = time.monotonic()
    if missing := [file for file in files if not Path(file).exists()]:
        raise PadlessError(
            f"{socket.gethostname()} does not see {', '.join(missing)}. Put weights, data, tables and targets where all "
            "nodes see them under the same path."
        )
    hand_over(shared(answers))
    with recorded() as asked, _folder(where, mark) as folder, claimed(folder, id) as mine:
        if not mine:
            return {"elsewhere": True}
        doing = point_of(point)
        if until is not None:
            score = run_until(_tuning(doing, _pruned(doing, id, folder), devices, halve), until)
            return {"score": score}
        measured = planned(doing) if doing.work == "plan" else pruned(doing, id, folder, devices, halve)
        if doing.work == "prune":
            _carry(folder, id, where)
        row = {**measured, "seconds": round(time.monotonic() - started, 3), "host": socket.gethostname()}
        return {"row": row, **({"answers": dict(asked)} if tell else {})}


def planned(point: Point) -> dict[str, Any]:
    """Widths and costs alone."""
    job = point.job(Path("."))
    dense = _dense(point, job)
    network, images = dense.loaded, dense.calibration(job.calibration, job.choices.seed)
    with Pricing(
        network.model, parse_inputs(network.inputs(job.inputs)), job.target,
        oracle=job.oracle, memory_oracle=job.memory_oracle, outputs=job.choices.outputs,
    ) as pricing:  # fmt: skip
        budgets = read_budgets(job.budgets)
        choices = replace(job.choices, importance=dense.importance(pricing, job.choices, job.calibration, budgets))
        plan = make_plan(pricing, budgets, choices, images)
        after = narrowed(pricing.graph, plan.mask(pricing.graph))
        widths = {old.name: [old.c_out, new.c_out] for old, new in zip(pricing.graph.layers, after, strict=True)}
    return {
        "before": plan.before, "after": plan.after, "importance_kept": plan.importance_kept, "widths": widths,
        "gap": plan.solver and plan.solver.gap, "solver": plan.solver and plan.solver.status,
        "met": all(outcome.compiler_total <= outcome.asked for outcome in plan.outcomes), "align": plan.align,
    }  # fmt: skip


def pruned(point: Point, id: str, folder: Path, devices: int, halve: bool) -> dict[str, Any]:
    """The run in its folder, fine-tuned where that is asked for; what is there already is not done again."""
    out = _pruned(point, id, folder)
    if point.finetune is not None:
        tuning = _tuning(point, out, devices, halve)
        run_finetuning(tuning)
        out = tuning.out
    summary = Summary.read(out)
    return {
        "before": dict(summary.before), "after": dict(summary.after), "importance_kept": summary.importance_kept,
        "widths": {name: list(widths.c_out) for name, widths in summary.widths.items()},
        "gap": summary.solver and summary.solver.gap, "solver": summary.solver and summary.solver.status,
        "met": all(budget.met for budget in summary.budgets), "align": summary.align, "folder": f"{RUNS}/{out.name}",
    }  # fmt: skip


def _pruned(point: Point, id: str, folder: Path) -> Path:
    """The folder of the run, done unless it is there."""
    out = mended(folder / RUNS / id)
    if not (out / SUMMARY).exists():
        job = point.job(out)
        run(job, open_dense(job) if job.regularize else _dense(point, job))
    return out


def _tuning(point: Point, out: Path, devices: int, halve: bool) -> Finetuning:
    recipe = point.recipe()
    assert recipe is not None
    return Finetuning(
        folder=out, out=out.with_name(f"{out.name}-finetuned"), recipe=recipe, devices=devices, resume=True,
        held_out=HELD_OUT if halve else 0.0, command=f"padless finetune {out}", repeated=_repeated(point),
    )  # fmt: skip


def _repeated(point: Point) -> Repeated:
    """What the sweep says of a run, whoever wrote its folder."""
    return Repeated(
        model=point.model, target=point.target, oracle=point.oracle, memory_oracle=point.memory_oracle, data=point.data
    )


def ask(target: Mapping[str, Any], oracle: str, shapes: Any) -> dict[str, Any]:
    """What layers cost, as rows of the cost cache. A layer that the oracle refuses has none."""
    with recorded() as asked:
        cached = CachedOracle(open_oracle(oracle, load_target(**target)))
        try:
            cached.attempt(SHAPES.validate_python(shapes))
        finally:
            cached.close()
    return asked


def source_of(point: Point) -> tuple[Hashable, ...]:
    """What a network and its images depend on. Weights that are not given may be drawn by the seed."""
    drawn = point.weights is None and not point.model.endswith(".onnx")
    reading = (point.dequantise, point.until)
    return (
        point.model, point.weights, point.data, point.preprocess, point.input_shape, reading, point.outputs,
        point.seed if drawn else None,
    )  # fmt: skip


def _dense(point: Point, job: Job) -> Dense:
    key = source_of(point)
    if key not in _sources:
        while len(_sources) >= KEPT:
            _sources.popitem(last=False)
        _sources[key] = open_dense(job)
    _sources.move_to_end(key)
    return _sources[key]


@contextmanager
def _folder(where: str, mark: str) -> Iterator[Path]:
    """The sweep's folder, or for an object store one of this machine that goes away.

    Raises PadlessError where the folder is not the one that the sweep was started with.
    """
    store = open_store(where)
    if store.folder is None:
        with tempfile.TemporaryDirectory(prefix="padless-sweep-") as folder:
            yield Path(folder)
        return
    if store.read(MARK) != mark.encode():
        raise PadlessError(
            f"{where} on {socket.gethostname()} is not the folder that the sweep was started in. Give --out a folder that "
            "all nodes share, or an object store such as s3://BUCKET/FOLDER."
        )
    yield store.folder


def _carry(folder: Path, id: str, where: str) -> None:
    """Bring a run to an object store."""
    store = open_store(where)
    if store.folder is None:
        for file in sorted((folder / RUNS).rglob("*")):
            if file.is_file() and not file.parent.name.endswith(".training"):
                store.write(str(file.relative_to(folder)), file.read_bytes())
        shutil.rmtree(folder / RUNS)
