"""Recording: the model is left alone, and what cannot be recorded is said."""

import pytest
import torch
from checks.cutting import check
from models.networks import Reads, Small
from torch import nn

from padless import load_target, plan, prune, trace
from padless.errors import TraceError


class Locked:
    def __deepcopy__(self, memo):
        raise TypeError("it holds a lock")


def test_a_model_that_cannot_be_copied():
    model = Small()
    model.kept = Locked()
    with pytest.raises(TraceError, match="cannot be copied: it holds a lock\n.*keep an object"):
        trace(model, torch.zeros(1, 3, 16, 16))


def test_tracing_leaves_the_model_alone():
    model = Small().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    trace(model, torch.zeros(1, 3, 16, 16))
    assert model.training and all(m.training for m in model.modules())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_forward_that_fails_names_operator_module_and_line():
    with pytest.raises(
        TraceError, match=r"input 1x5x16x16 in aten\.convolution\S*, module stem, line .*networks\.py:\d+"
    ):
        trace(Small(), torch.zeros(1, 5, 16, 16))
    with pytest.raises(TraceError, match=r"module inner\.1, line .*networks\.py:\d+"):
        trace(Reads(), torch.zeros(1, 3, 4, 4))


def test_a_model_without_tensor_outputs():
    class Empty(nn.Module):
        def forward(self, x):
            return None

    with pytest.raises(TraceError, match="returned NoneType without any tensor"):
        trace(Empty(), torch.zeros(1, 3))


class Pads(nn.Module):
    """Reads the values of its buffers: a number of pixels, a mask, and sizes."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 2, 1)
        self.register_buffer("pad", torch.tensor(1))
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("sizes", torch.tensor([6, 6], dtype=torch.int32))

    def forward(self, x):
        y = nn.functional.pad(self.a(x), (int(self.pad),) * 4)
        if self.mask.any() and not self.mask.all():
            y = nn.functional.interpolate(y, size=self.sizes.tolist())
        return self.b(y[:, :, self.pad.item() :])


def test_values_of_small_whole_number_buffers_are_there():
    model, x = Pads(), torch.zeros(1, 3, 4, 4)
    graph = trace(model, x)
    assert graph.recording.shape(graph.recording.outputs[0]) == (1, 2, 5, 6)
    assert graph.group("a").pinned is None
    assert prune(model, plan(model, x, target="unit:4", budget="macs=60%")).a.out_channels < 16


def chain():
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 4, 1),
    ]
    return nn.Sequential(*layers).eval()


def stashed():
    model = chain()
    map = model[0](torch.zeros(1, 3, 8, 8))
    model.kept, model.more = map, {"list": [map], "tuple": (map, 1)}
    return model


def closing_hook():
    model, seen = chain(), []

    def hook(module, inputs, output):
        seen.append(output)
        return output + model[2](output).mean(1, keepdim=True)

    model[1].register_forward_hook(hook)
    model.seen = seen
    return model


class Extractor:
    def __init__(self, model):
        self.model, self.seen = model, []
        model[1].register_forward_hook(self.hook)

    def hook(self, module, inputs, output):
        self.seen.append(output)
        return output * self.model[2].weight.mean()


def bound_hook():
    model = chain()
    model.seen = Extractor(model).seen
    return model


def patched_forward():
    model = chain()
    model.forward = lambda x, m=model: m[4](m[3](m[2](m[1](m[0](x)))))
    return model


def patched_in_an_inner_function():
    model = chain()
    inner = lambda x: model[2](x) * 2  # noqa: E731
    model[2].forward_twice = model[1].forward = lambda x: inner(x).relu()
    return model


def data_parallel():
    return nn.DataParallel(chain())


def compiled():
    return torch.compile(chain())


def compiled_inside():
    model = chain()
    model[2] = torch.compile(model[2])
    model.compile()
    return model


def symbolic():
    return torch.fx.symbolic_trace(chain())


def exported():
    return torch.export.export(chain(), (torch.zeros(1, 3, 8, 8),)).module()


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
@pytest.mark.parametrize(
    "build",
    [stashed, closing_hook, bound_hook, patched_forward, patched_in_an_inner_function, data_parallel, compiled,
     compiled_inside, symbolic, exported],
)  # fmt: skip
def test_forwards_as_they_are_are_cut_and_left_alone(build, monkeypatch):
    model, x = build(), torch.zeros(1, 3, 8, 8)
    calls = []
    monkeypatch.setattr(torch._dynamo, "optimize", lambda *a, **k: calls.append(a))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    small = prune(model, plan(model, x, target="unit:4", budget="macs=60%", images=[torch.randn(1, 3, 8, 8)]))
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
    assert torch.isfinite(small(x)).all()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not calls
    seen = len(model.seen) if hasattr(model, "seen") else 0
    trace(model, x)
    prune(model, plan(model, x, target="unit:4", budget="macs=60%"))
    assert not hasattr(model, "seen") or len(model.seen) == seen  # the copies' hooks collect for themselves


def test_hooks_run_on_the_copys_modules():
    model, x = closing_hook(), torch.zeros(1, 3, 8, 8)
    assert not any(value.origin == "constant" for value in trace(model, x).recording.values)


def with_weight_norm():
    model = chain()
    model[0], model[2] = nn.utils.weight_norm(model[0]), nn.utils.weight_norm(model[2])
    return model


def with_masks():
    model = chain()
    torch.nn.utils.prune.l1_unstructured(model[2], "weight", amount=0.3)
    torch.nn.utils.prune.ln_structured(model[0], "weight", amount=0.25, n=2, dim=0)
    return model


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("build", [with_weight_norm, with_masks])
def test_weights_that_hooks_compute_are_cut(build):
    model, x = build(), torch.zeros(1, 3, 8, 8)
    small = prune(model, plan(model, x, target="unit:4", budget="macs=60%"))
    widths = small[0].out_channels, small[2].out_channels
    assert widths < (16, 16) and small[0].weight.shape[0] == widths[0] and small[2].weight.shape[:2] == widths[::-1]


class Moved(nn.Module):
    """Takes its maps to another device, by name and by another tensor, and fills tensors of its own with them."""

    def __init__(self):
        super().__init__()
        self.first, self.last, self.norm = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.RMSNorm(8)

    def forward(self, x):
        y = self.first(x).cpu()
        own = torch.zeros(len(y), y.shape[1], 6, 6, dtype=y.dtype)
        own[:, :, 1:] = y[:, :, :-1].to(own).type_as(own)
        return self.last(self.norm(own.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)).mean((2, 3))


def test_what_comes_of_the_inputs_may_be_moved():
    check(Moved().eval(), torch.zeros(1, 3, 8, 8), load_target("unit:4"), 0)
