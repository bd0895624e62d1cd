"""What other pruners get wrong, each a test of ours. Seen in Torch-Pruning 1.6.1, Sony MCT 2.6.1 and TinyNeuralNetwork."""

from itertools import pairwise

import pytest
import torch
from models.blocks import BLOCKS, build
from models.networks import shaken
from torch import nn

from padless import load_target, plan, prune, save, trace
from padless.align import aligned_levels
from padless.choose import RATIOS
from padless.cost import network_cost
from padless.cut import cut, equivalence_error
from padless.graph import narrowed
from padless.importance import importance
from padless.inputs import load_model
from padless.runs.folder import load

X = torch.zeros(1, 3, 64, 64)


def halved(name: str, target: str, ratio: float = 0.5, x: torch.Tensor = X):
    """A network's graph, its uniform widths, and what is left of its channels."""
    model = load_model(name).model
    graph = trace(model, x)
    levels = aligned_levels(graph, load_target(target))
    found = importance(graph, model)
    widths = RATIOS["uniform"](graph, found, levels, ratio)
    return shaken(model), graph, widths, found.strongest(graph, widths)


def test_a_layer_never_silently_keeps_its_width():
    """Torch-Pruning floors 24 channels at a unit of 16 and half to nothing, refuses that, and keeps 24."""
    _, graph, widths, _ = halved("torchvision/mobilenet_v2", "unit:16")
    assert graph.group("features.2.conv.2").width == 24
    assert widths["features.2.conv.2"] == 16
    assert all(widths[g.id] < g.width for g in graph.groups if not g.pinned and g.width > 32)


def test_more_pruning_never_leaves_more():
    """Torch-Pruning's ResNet-18 at 70 % and a unit of 32: stage 1 stays at 64 while stage 2 drops from 128 to 32."""
    found = [halved("torchvision/resnet18", "unit:32", ratio)[2] for ratio in (0.3, 0.5, 0.7, 0.9)]
    for milder, harder in pairwise(found):
        assert all(harder[g] <= milder[g] for g in milder)
    assert found[2]["conv1"] == 32 and found[2]["layer2.0.conv2"] == 32


def test_group_norm_keeps_no_more_than_asked():
    """Torch-Pruning keeps 85.5 % of the MACs of resnet50_gn at half the channels with rounding."""
    _, graph, _, keep = halved("timm/resnet50_gn", "unit:16")
    macs = [sum(ly.macs for ly in layers) for layers in (graph.layers, narrowed(graph, keep))]
    assert 0.24 < macs[1] / macs[0] < 0.28


def test_a_budget_is_met_and_not_undershot():
    """Torch-Pruning rounds down: 22 % of the MACs are left where 27 % were meant."""
    model = load_model("torchvision/resnet18").model
    made = plan(model, X, target="unit:32", budget="macs=27%", allocate="global")
    (outcome,) = made.outcomes
    assert outcome.compiler_total <= outcome.asked < outcome.next_milder
    assert outcome.compiler_total > 0.9 * outcome.asked


@pytest.mark.parametrize("target", ["unit:16", "unit:32x16"])
@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_large", "googlenet", "densenet121", "efficientnet_b0"])
def test_what_is_hardly_pruned_is_aligned_too(name, target):
    """Torch-Pruning leaves 8 to 52 % of the convolutions of these misaligned, and knows one unit for both sides."""
    _, graph, _, keep = halved(f"torchvision/{name}", target, ratio=0.05)
    levels = aligned_levels(graph, load_target(target))
    before = network_cost(graph, graph.layers, load_target(target), levels.fixed, None).cost
    after = network_cost(graph, narrowed(graph, keep), load_target(target), levels.fixed, None).cost
    assert after.avoidable_macs_percent == 0
    assert before.avoidable_macs_percent > 0 or name == "densenet121"


@pytest.mark.parametrize("name", ["shuffle", "shuffle_unit", "flip_roll"])
def test_moved_channels_keep_the_function(name):
    """Torch-Pruning computes another function, without a word, behind a channel shuffle, a flip or a roll."""
    torch.manual_seed(0)
    model, x = build([name, "residual"], 12, max), torch.zeros(1, 2, 8, 8)
    graph = trace(model, x)
    halves = {g.id: g.width if g.pinned else (g.width + 1) // 2 for g in graph.groups}
    keep = importance(graph, model).strongest(graph, halves)
    assert not keep.all()
    assert equivalence_error(model, cut(model, graph, keep), graph, keep) < 1e-10
    assert name in BLOCKS


def test_frozen_networks_are_cut_and_classes_stay_unasked():
    """Torch-Pruning does nothing at all when parameters are frozen, and prunes the classes unless the head is listed."""
    model = load_model("torchvision/resnet18").model.requires_grad_(False)
    small = prune(model, plan(model, X, target="unit:16", budget="macs=50%", allocate="global"))
    assert small.layer1[0].conv1.out_channels < 64 and small.fc.out_features == 1000
    assert not any(p.requires_grad for p in small.parameters())


def test_nothing_is_shared_between_runs_and_nothing_is_pickled(tmp_path):
    """Torch-Pruning's mutable defaults leak modules from one pruner to the next; its checkpoints need unpickling."""
    first, second = (nn.Sequential(nn.Conv2d(3, c, 1), nn.ReLU(), nn.Conv2d(c, 4, 1)) for c in (16, 32))
    plans = [plan(m, X, target="unit:8", budget="macs=50%") for m in (first, second, first)]
    assert plans[0] == plans[2] and plans[0].digest != plans[1].digest
    small = prune(first, plans[0])
    save(tmp_path / "run", small, plans[0])
    assert b"pickle" not in (tmp_path / "run" / "model.safetensors").read_bytes()[:1]
    again = load(tmp_path / "run", first)
    assert torch.equal(again[0].weight, small[0].weight)


def test_batch_norms_stay_where_they_are():
    """MCT drops the batch norm of pruned sections: an output error of 0.77 on MobileNetV2."""
    model, graph, _, keep = halved("torchvision/mobilenet_v2", "unit:16")
    small = cut(model, graph, keep)
    kinds = [type(m) for m in model.modules()]
    assert [type(m) for m in small.modules()] == kinds and nn.BatchNorm2d in kinds
    assert equivalence_error(model, small, graph, keep) < 1e-10


def test_concatenated_columns_keep_their_order():
    """TinyNeuralNetwork reorders the columns behind GoogLeNet's concatenations."""
    model, graph, _, keep = halved("torchvision/googlenet", "unit:16")
    assert equivalence_error(model, cut(model, graph, keep), graph, keep) < 1e-10


def test_a_convolution_that_makes_the_classes_keeps_them():
    """TinyNeuralNetwork halves the classes of networks that end in a convolution."""
    model, graph, _, keep = halved("torchvision/squeezenet1_1", "unit:16")
    small = cut(model, graph, keep)
    assert small.classifier[1].out_channels == 1000 and small(X).shape == (1, 1000)


def test_chains_are_not_all_that_is_cut():
    """MCT cuts only convolutions that feed another one: 13 of ResNet-18's 20 stay untouched, 50 of MobileNetV2's 52."""
    for name in ("torchvision/resnet18", "torchvision/mobilenet_v2"):
        _, graph, _, keep = halved(name, "unit:16")
        small = {ly.name: (ly.c_in, ly.c_out) for ly in narrowed(graph, keep)}
        untouched = [ly.name for ly in graph.layers if small[ly.name] == (ly.c_in, ly.c_out)]
        assert len(untouched) <= 6
