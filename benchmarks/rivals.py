"""Other tools' pruned networks at a cost: each is given the knob it has, and that is turned until the cost is met."""

import copy
import os
import sys
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from torch import Tensor, nn

from padless import Graph, Plan
from padless.cost import Totals

Cost = Callable[[nn.Module], float]
Made = Callable[[float], nn.Module]  # the tool at one setting of its knob: the larger, the smaller the network
STEPS = 8  # of bisection


class Knob:
    """A tool's knob between `low` and `high`. What was tried is remembered, for the next cost."""

    def __init__(self, make: Made, cost: Cost, low: float, high: float) -> None:
        self.make, self.cost, self.low, self.high = make, cost, low, high
        self.tried: dict[float, float] = {}

    def at_most(self, limit: float) -> tuple[nn.Module | None, float | None]:
        """The network whose cost is nearest below a limit, and that cost; none where the tool cannot go so low."""
        low, high = self.low, self.high
        for _ in range(STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._cost(middle) <= limit else (middle, high)
        self._cost(self.high)
        met = {at: cost for at, cost in self.tried.items() if cost <= limit}
        if not met:
            return None, None
        best = max(met, key=lambda at: (met[at], -at))
        return self.make(best), met[best]

    def _cost(self, at: float) -> float:
        if at not in self.tried:
            self.tried[at] = self.cost(self.make(at))
        return self.tried[at]


def torch_pruning(model: nn.Module, x: Tensor, head: nn.Module, *, everywhere: bool, round_to: int | None) -> Made:
    """Torch-Pruning by L2 magnitude: one ratio for all layers, or one threshold `everywhere`; counts rounded or not."""
    import torch_pruning as tp

    place = next(name for name, module in model.named_modules() if module is head)

    def make(ratio: float) -> nn.Module:
        mine = copy.deepcopy(model)
        tp.pruner.BasePruner(
            mine, x, importance=tp.importance.GroupMagnitudeImportance(p=2), pruning_ratio=ratio,
            global_pruning=everywhere, round_to=round_to, ignored_layers=[mine.get_submodule(place)],
        ).step()  # fmt: skip
        return mine.eval()

    return make


def plan_of(graph: Graph, model: nn.Module, small: nn.Module) -> Plan:
    """A plan that keeps what another tool kept, found by the running means of the batch norms that came through."""
    keep = np.zeros(graph.channels, dtype=bool)
    for axis in graph.axes:
        if axis.parameter.endswith("running_mean"):
            before, after = (dict(m.named_buffers())[axis.parameter].numpy() for m in (model, small))
            found = np.isin(before, after)
            if found.sum() != len(after):
                raise SystemExit(f"{axis.parameter}: two channels have one mean, or none; nothing can be told apart.")
            keep[axis.channels[found]] = True
    names = {g.id: np.flatnonzero(keep[g.channels]).tolist() or list(range(g.width)) for g in graph.groups}
    totals = {**dict.fromkeys(Totals.__annotations__, 0), "oracle": ""}
    return Plan(
        version="", digest=graph.digest(), example_shapes=[list(s) for s in graph.example_shapes], target="",
        importance="", allocate="", align="none", ratio=None, seed=0, outcomes=[], solver=None, importance_kept=0.0,
        before=totals, after=totals, keep=names, zeros={},
    )  # fmt: skip


def sony_mct(model: nn.Module, images: Sequence[Tensor], approximations: int) -> Made:
    """Sony's Model Compression Toolkit: a share of the weights' memory goes. Its scores are computed once.

    Raises ImportError where it is not installed.
    """
    mct = _mct()
    from model_compression_toolkit.core.common.hessian.hessian_info_service import HessianInfoService

    known: dict[tuple[str, ...], dict] = {}
    plain = getattr(HessianInfoService, "plain", HessianInfoService.fetch_hessian)

    def fetch(service, request):
        key = tuple(node.name for node in request.target_nodes)
        if key not in known:
            known[key] = plain(service, request)
        return known[key]

    HessianInfoService.plain, HessianInfoService.fetch_hessian = plain, fetch
    memory = 4 * sum(p.numel() for p in model.parameters())

    def batches() -> Iterator[list[Tensor]]:
        for batch in images:
            yield [batch]

    def make(share: float) -> nn.Module:
        made, _ = mct.pruning.pytorch_pruning_experimental(
            model=copy.deepcopy(model),
            target_resource_utilization=mct.core.ResourceUtilization(weights_memory=(1 - share) * memory),
            representative_data_gen=batches,
            pruning_config=mct.pruning.PruningConfig(num_score_approximations=approximations),
        )
        return made.eval()

    return make


def _mct():
    """Its bars of progress are many, its torchvision must be loadable."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    from padless.inputs import zoo

    zoo.import_torchvision()
    import model_compression_toolkit as mct

    print(f"model-compression-toolkit {mct.__version__}", file=sys.stderr)
    return mct
