"""Other tools: how they are turned to a cost, and what they kept."""

import sys

import pytest
import torch
from models.tiny import Tiny, telling
from safetensors.torch import save_file
from torch import nn

from padless import prune, trace
from padless.choose.match import Knob
from padless.errors import UsageError
from padless.reproduction.peers import PeerError, kept_by, kept_by_name, plan_of, sony_mct, torch_pruning
from padless.reproduction.store import read_results


def test_a_knob_is_turned_to_the_cost_nearest_below_the_limit():
    made = Knob(lambda at: nn.Linear(1, round(100 * (1 - at)) or 1), lambda m: m.out_features, high=0.9)
    assert made.at_most(50).out_features in (49, 50)
    assert made.at_most(5) is None
    stops = Knob(lambda at: nn.Linear(1, round(100 * (1 - at))) if at < 0.6 else None, lambda m: m.out_features)
    assert stops.at_most(45).out_features in (41, 42, 43, 44, 45)
    assert stops.at_most(30) is None


def test_what_another_tool_kept_is_told_by_the_running_means():
    model, x = telling(), torch.zeros(1, 3, 32, 32)
    graph = trace(model, x)
    small = torch_pruning(model, x)(0.5)
    plan = plan_of(graph, kept_by(graph, model, small))
    assert sorted(len(kept) for kept in plan.keep.values()) == [10, 16, 32]

    y = torch.rand(2, 3, 32, 32)
    assert torch.allclose(prune(model, plan)(y), small(y), atol=1e-5)
    model.first[1].running_mean.zero_()
    small.first[1].running_mean.zero_()
    with pytest.raises(PeerError, match="two channels have one mean, or none; nothing can be told apart"):
        kept_by(graph, model, small)


@pytest.mark.parametrize(
    ("module", "make", "message"),
    [
        ("torch_pruning", torch_pruning, "Torch-Pruning needs: pip install torch-pruning"),
        ("model_compression_toolkit", sony_mct, "MCT needs: pip install model-compression-toolkit"),
    ],
)
def test_a_missing_tool_says_how_to_get_it(monkeypatch, module, make, message):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=message):
        make(Tiny(), torch.zeros(1))


def test_a_tool_that_fails_has_no_row_and_is_tried_again(run, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("out of paper")

    options = ("--ratios", "", "--methods", "Torch-Pruning local", "--budgets", "70", "--out", "r")
    (tmp_path / "r" / "weights").mkdir(parents=True)
    save_file(telling().state_dict(), tmp_path / "r" / "weights" / "tiny.safetensors")
    with monkeypatch.context() as patched:
        patched.setattr("padless.reproduction.subject.torch_pruning", broken)
        code, _, err = run(*options)
    assert (code, "Torch-Pruning local failed: RuntimeError: out of paper" in " ".join(err.split())) == (0, True)
    assert len(read_results(tmp_path / "r" / "results.json")["rows"]) == 1
    assert run(*options)[0] == 0
    assert len(read_results(tmp_path / "r" / "results.json")["rows"]) == 2


class Renamed(nn.Module):
    """As MCT returns a network: modules by our names with underscores."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                self.add_module(name.replace(".", "_"), module)


def test_what_mct_kept_is_told_by_its_filters():
    model = telling()
    graph = trace(model, torch.zeros(1, 3, 32, 32))
    small = torch_pruning(model, torch.zeros(1, 3, 32, 32))(0.5)
    theirs = Renamed(small)
    with torch.no_grad():
        theirs.first_0.weight *= torch.linspace(0.5, 2, 16)[:, None, None, None]  # a batch norm folded into it
    plan = plan_of(graph, kept_by_name(graph, model, theirs))
    assert sorted(len(kept) for kept in plan.keep.values()) == [10, 16, 32]
    assert torch.equal(prune(model, plan).second[0].weight, small.second[0].weight)
    with torch.no_grad():
        theirs.first_0.weight[0] = 1
    with pytest.raises(PeerError, match="first.0: a filter of MCT's is a copy of none, or of several"):
        kept_by_name(graph, model, theirs)
    theirs.first_0 = model.first[0]
    with pytest.raises(PeerError, match="second.0: 144 numbers a filter, 288 expected"):
        kept_by_name(graph, model, theirs)
