"""Other tools' pruned networks: each as a method with the knob that it has, and what it kept."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from padless.choose import Plan
from padless.choose.match import Maker
from padless.errors import PadlessError, UsageError
from padless.graph import Graph, Keep
from padless.inputs.zoo import import_torchvision
from padless.progress import track

SAME = 1e-6  # how far the cosine of two copies of a filter may be from 1
APPROXIMATIONS = 32  # of MCT's scores: its default


class PeerError(PadlessError):
    """Another tool failed: that says nothing of how far it can go."""


def torch_pruning(model: nn.Module, x: Tensor, *, everywhere: bool = False, round_to: int | None = None) -> Maker:
    """Torch-Pruning by L2 magnitude: one ratio for all layers, or one threshold `everywhere`; counts rounded or not.

    The class outputs, those of the last linear layer, stay. Raises UsageError where it is not installed.
    """
    try:
        import torch_pruning as tp
    except ModuleNotFoundError as error:
        raise UsageError("Torch-Pruning needs: pip install torch-pruning==1.6.1") from error
    heads = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]

    def make(ratio: float) -> nn.Module:
        small = copy.deepcopy(model)
        tp.pruner.BasePruner(
            small, x, importance=tp.importance.GroupMagnitudeImportance(p=2), pruning_ratio=ratio,
            global_pruning=everywhere, round_to=round_to, ignored_layers=[small.get_submodule(name) for name in heads[-1:]],
        ).step()  # fmt: skip
        return small.eval()

    return make


def kept_by(graph: Graph, model: nn.Module, small: nn.Module) -> Keep:
    """Which channels another tool kept, found by the running means of the batch norms that came through.

    Raises PeerError where two channels have one mean, or a mean is none of the model's.
    """
    keep = np.zeros(graph.channels, dtype=np.int64)
    before, after = (dict(m.named_buffers()) for m in (model, small))
    for axis in graph.axes:
        if axis.parameter.endswith("running_mean"):
            kept = torch.isin(before[axis.parameter], after[axis.parameter]).numpy()
            if kept.sum() != len(after[axis.parameter]):
                raise PeerError(f"{axis.parameter}: two channels have one mean, or none; nothing can be told apart.")
            keep[axis.channels[kept]] = 1
    for group in graph.groups:
        if not keep[group.channels].any():  # no batch norm behind it: untouched
            keep[group.channels] = 1
    return keep


def plan_of(graph: Graph, keep: Keep) -> Plan:
    """A plan that keeps these channels, without a word on what it costs."""
    names = {g.id: np.flatnonzero(keep[g.channels]).tolist() for g in graph.groups}
    nothing: Any = {
        "macs": 0, "padded_macs": 0, "wasted_macs": 0, "wasted_macs_percent": 0.0, "avoidable_macs_percent": 0.0,
        "weight_bytes": 0, "padded_weight_bytes": 0, "wasted_weight_percent": 0.0, "activation_bytes": 0,
        "padded_activation_bytes": 0, "wasted_activation_percent": 0.0, "cycles": None, "npu_cycles": None,
        "nanoseconds": None, "milliseconds": None, "clock_hz": None,
        "peak_sram_bytes": None, "peak_activation_bytes": None, "flash_bytes": None, "energy_pj": None, "oracle": None,
    }  # fmt: skip
    return Plan(
        version="", digest=graph.digest(), example_shapes=[list(s) for s in graph.example_shapes], target="",
        importance="", allocate="", align="none", ratio=None, seed=0, outcomes=[], solver=None, importance_kept=0.0,
        before=nothing, after=nothing, keep=names, zeros={},
    )  # fmt: skip


def kept_by_name(graph: Graph, model: nn.Module, small: nn.Module) -> Keep:
    """Which channels MCT kept: it copies filters (or scales them), and its modules have our names with underscores.

    Raises PeerError where a filter is a copy of none, or of several.
    """
    keep = np.ones(graph.channels, dtype=np.int64)
    before, after = (dict(m.named_parameters()) for m in (model, small))
    for layer in graph.layers:  # in the order in which they run, so that inputs are known
        narrow = after[layer.weight.rpartition(".")[0].replace(".", "_") + ".weight"].detach().flatten(1)
        inputs = np.flatnonzero(keep[layer.inputs]) if layer.groups == 1 else np.arange(layer.c_in // layer.groups)
        wide = before[layer.weight].detach()[:, torch.from_numpy(inputs)].flatten(1)
        if wide.shape[1] != narrow.shape[1]:
            raise PeerError(f"{layer.name}: {narrow.shape[1]} numbers a filter, {wide.shape[1]} expected.")
        alike = functional.normalize(narrow.double()) @ functional.normalize(wide.double()).T
        same = alike.abs() > 1 - SAME  # by direction: batch norms are folded into some
        if not (same.sum(1) == 1).all():
            raise PeerError(f"{layer.name}: a filter of MCT's is a copy of none, or of several.")
        keep[layer.outputs[~same.any(0).numpy()]] = 0
    return keep


def sony_mct(model: nn.Module, images: Sequence[Tensor], seed: int = 0, approximations: int = APPROXIMATIONS) -> Maker:
    """Sony's Model Compression Toolkit: a share of the weights' memory goes. Its scores are computed once, by `seed`.

    Raises UsageError where it is not installed.
    """
    mct = _mct()
    from model_compression_toolkit.core.common.hessian.hessian_info_service import HessianInfoService
    from model_compression_toolkit.core.pytorch.hessian import weights_hessian_scores_calculator_pytorch as scorer

    # In place of its bars, of which thousands would stay.
    scorer.tqdm = lambda images: track(images, "MCT scores channels", total=len(images))

    known: dict[tuple[str, ...], Any] = {}
    plain = getattr(HessianInfoService, "plain", HessianInfoService.fetch_hessian)

    def fetch(service: Any, request: Any) -> Any:
        key = tuple(node.name for node in request.target_nodes)
        if key not in known:
            known[key] = plain(service, request)
        return known[key]

    HessianInfoService.plain, HessianInfoService.fetch_hessian = plain, fetch
    memory = 4 * sum(p.numel() for p in model.parameters())

    def batches() -> Iterator[list[Tensor]]:
        for batch in images:
            yield [batch]

    def make(share: float) -> nn.Module | None:
        try:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                return pruned(share)
        except Exception as error:
            if "Insufficient memory" in str(error):  # even all that it can prune is not enough
                return None
            raise

    def pruned(share: float) -> nn.Module:
        network, _ = mct.pruning.pytorch_pruning_experimental(
            model=copy.deepcopy(model),
            target_resource_utilization=mct.core.ResourceUtilization(weights_memory=(1 - share) * memory),
            representative_data_gen=batches,
            pruning_config=mct.pruning.PruningConfig(num_score_approximations=approximations),
        )
        small: nn.Module = network.eval()
        return small

    return make


def _mct() -> Any:
    """The toolkit; its torchvision must be loadable."""
    import_torchvision()
    try:
        import model_compression_toolkit
    except ModuleNotFoundError as error:
        raise UsageError("MCT needs: pip install model-compression-toolkit==2.6.1") from error
    return model_compression_toolkit
