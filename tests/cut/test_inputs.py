"""Inputs of every type and structure, random draws and front ends, through plan, prune, recover and export."""

import warnings

import pytest
import torch
from torch import nn

from padless import Plan, export, plan, prune, recover, trace
from padless.errors import EquivalenceError, PadlessError, UsageError


def chain():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Conv2d(32, 4, 1)]
    return nn.Sequential(*layers).eval()


class Conditional(nn.Module):
    """An image, a class number and a mask."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.e = nn.Conv2d(3, 16, 3, padding=1), nn.Embedding(10, 16)
        self.b, self.o = nn.Conv2d(16, 32, 3), nn.Conv2d(32, 4, 1)

    def forward(self, x, y, mask):
        return self.o(self.b((self.a(x) + self.e(y)[:, :, None, None]).masked_fill(~mask, 0.0)).relu())


class OfParts(nn.Module):
    """One dictionary, in which a tuple lies."""

    def __init__(self):
        super().__init__()
        self.inner = Conditional()

    def forward(self, parts):
        return {"out": self.inner(parts["image"], *parts["more"])}


class Front(nn.Module):
    def __init__(self, front):
        super().__init__()
        self.front, self.net = front, chain()

    def forward(self, x):
        return self.net(self.front(x))


def inputs(n):
    generator = torch.Generator().manual_seed(n)
    image = torch.rand(n, 3, 8, 8, generator=generator) + 0.1
    numbers = torch.randint(0, 10, (n,), generator=generator)
    return image, numbers, torch.rand(n, 1, 8, 8, generator=generator) > 0.3


def case(kind):
    """A network, the arguments of one run, and those of a batch."""
    one, many = inputs(1), inputs(16)
    if kind == "several":
        return Conditional().eval(), one, many
    if kind == "dictionary":
        return OfParts().eval(), *(({"image": x, "more": (y, mask)},) for x, y, mask in (one, many))
    if kind == "bytes":
        return Front(lambda x: x.float() / 255).eval(), *(((x[0] * 200).to(torch.uint8),) for x in (one, many))
    if kind == "logarithm":
        return Front(torch.log).eval(), one[:1], many[:1]
    dtype = getattr(torch, kind)
    return chain().to(dtype), one[:1], many[:1] if dtype is None else (many[0].to(dtype),)


@pytest.mark.parametrize("kind", ["several", "dictionary", "bytes", "logarithm", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("importance", ["reconstruction", "taylor"])
def test_inputs_of_every_kind(kind, importance, tmp_path):
    model, example, batch = case(kind)
    dtypes = [t.dtype for t in model.parameters()]
    example = tuple(x.to(dtypes[0]) if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in example)
    images = [batch if len(batch) > 1 else batch[0]]
    cut = plan(model, *example, target="unit:8", budget="macs=60%", images=images, importance=importance)
    cut = Plan.from_json(cut.to_json())
    small = prune(model, cut)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
    recovery = recover(small, model, cut, images)
    assert recovery.held_out[recovery.method] <= recovery.held_out["none"]
    assert [t.dtype for t in small.parameters()] == dtypes
    given = example if len(example) > 1 else example[0]
    assert export(small, given, tmp_path / "m.pt2").parity < 0.05
    if kind not in ("bfloat16", "float64"):
        import onnx

        export(small, given, tmp_path / "m.onnx")
        types = [i.type.tensor_type.elem_type for i in onnx.load(tmp_path / "m.onnx").graph.input]
        wanted = {
            "several": [1, 7, 9],
            "dictionary": [1, 7, 9],
            "bytes": [2],
            "logarithm": [1],
            "float16": [10],
            "float64": [11],
        }
        assert types == wanted[kind]


def test_types_that_onnx_runtime_has_no_kernels_for(tmp_path):
    with pytest.raises(UsageError, match="no kernels for bfloat16, .* Export model.float"):
        export(chain().bfloat16(), torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16), tmp_path / "m.onnx")
    with pytest.raises(
        PadlessError, match=r"ONNX Runtime cannot run m.onnx, so it could not be checked.*\n.*export model.float"
    ):
        export(chain().double(), torch.zeros(1, 3, 8, 8, dtype=torch.float64), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_plan_from_before_types_were_kept_still_fits():
    import json

    model, x = chain(), torch.zeros(1, 3, 8, 8)
    fields = json.loads(plan(model, x, target="unit:8", budget="macs=60%").to_json())
    assert fields.pop("example_types") == ["float32"] and fields.pop("example_structure") == "[0]"
    assert prune(model, Plan.from_json(json.dumps(fields)))[0].out_channels <= 16


@pytest.mark.parametrize(
    ("example", "kind"),
    [({"a": 1}, "dict"), ({}, "dict"), ((torch.zeros(1), "x"), "tuple"), ({1: torch.zeros(1)}, "dict"), ([[]], "list")],
)
def test_examples_that_are_no_tensors(example, kind):
    with pytest.raises(UsageError, match=f"An example input is a {kind}; expected Tensor, or tuples and dictionaries"):
        trace(chain(), example)
    with pytest.raises(UsageError, match="images is one dictionary; .* Write"):
        plan(chain(), torch.zeros(1, 3, 8, 8), target="unit:8", budget="macs=60%", images={"a": torch.zeros(1)})


class Vae(nn.Module):
    """Draws along its channels."""

    def __init__(self):
        super().__init__()
        self.e, self.mu, self.lv = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 16, 1), nn.Conv2d(32, 16, 1)
        self.d = nn.Conv2d(16, 3, 1)

    def forward(self, x):
        h = self.e(x).relu()
        return self.d(self.mu(h) + torch.randn_like(self.mu(h)) * (0.5 * self.lv(h)).exp())


class Noise(nn.Module):
    """Draws one map for all channels."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.w = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 3, 1), nn.Parameter(torch.ones(1, 32, 1, 1))

    def forward(self, x):
        y = self.a(x)
        return self.b((y + self.w * torch.randn(y.shape[0], 1, *y.shape[2:], dtype=y.dtype)).relu())


@pytest.mark.parametrize("build", [Vae, Noise])
def test_random_draws_in_evaluation(build):
    torch.manual_seed(0)
    model, x = build().eval(), torch.zeros(1, 3, 8, 8)
    state = torch.get_rng_state()
    small = prune(model, plan(model, x, target="unit:8", budget="macs=60%"))
    assert torch.equal(torch.get_rng_state(), state)  # the caller's draws are not disturbed
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
    small(x)


def test_the_check_blames_the_inputs():
    model, x = Front(lambda x: (x - 2).log()).eval(), torch.zeros(2, 3, 8, 8)
    cut = plan(model, x, target="unit:8", budget="macs=60%")
    with pytest.raises(
        EquivalenceError, match="not finite on normal, positive inputs.* Give calibration images from there"
    ):
        prune(model, cut)
    with pytest.raises(
        EquivalenceError, match="on normal, positive, calibration inputs.* Check the calibration images and"
    ):
        prune(model, cut, images=[x + 1])
    with pytest.raises(EquivalenceError, match="on normal, positive inputs"):  # none of these has the traced shapes
        prune(model, cut, images=[x[:1] + 3, x[:, :, :4] + 3])


@pytest.mark.parametrize("half", [False, True])
def test_the_check_takes_calibration_images_where_the_network_lives(half):
    model = Front(lambda x: (x - 2).log()).eval()
    single, example = torch.zeros(1, 3, 8, 8), torch.rand(16, 3, 8, 8) + 2.5
    if half:
        model, single, example = model.half(), single.half(), example.half()
    images = [example[:1], example[1:]]
    cut = plan(model, single, target="unit:8", budget="macs=60%", images=images)
    small = prune(model, cut, images=iter(images))
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
    recovery = recover(small, model, cut, images)
    assert recovery.held_out[recovery.method] <= recovery.held_out["none"]


def test_the_check_takes_dictionaries_of_calibration_images():
    class Logarithm(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = chain()

        def forward(self, parts):
            return self.net((parts["image"] - parts["more"][0]).log())

    model, image = Logarithm().eval(), torch.rand(4, 3, 8, 8)
    batch = {"image": image + 4, "more": (torch.ones(4, 1, 1, 1),)}
    cut = plan(model, {"image": image[:1], "more": (image[:1, :1, :1, :1],)}, target="unit:8", budget="macs=60%")
    with pytest.raises(EquivalenceError, match="on normal, positive inputs"):
        prune(model, cut)
    assert prune(model, cut, images=[batch]).net[0].out_channels <= 16


def test_a_number_may_come_before_the_images():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = chain()

        def forward(self, scale, x):
            return self.net(x * scale)

    model, scale, images = Scaled().eval(), torch.tensor(2.0), torch.rand(16, 3, 8, 8)
    batches = [(scale, images[:8]), (scale, images[8:])]
    cut = plan(model, scale, images[:1], target="unit:8", budget="macs=60%", images=batches)
    recovery = recover(prune(model, cut, images=batches), model, cut, batches)
    assert recovery.images == 16 and recovery.held_out[recovery.method] <= recovery.held_out["none"]


def test_a_batch_of_numbers_alone_is_refused():
    with pytest.raises(UsageError, match=r"A batch of images has numbers alone; expected tensors \[N, ...\]"):
        plan(chain(), torch.zeros(1, 3, 8, 8), target="unit:8", budget="macs=60%", images=[torch.tensor(1.0)])


class Halves(nn.Module):
    """Its exporter's forward splits by a stored count that the forward does not read."""

    def __init__(self):
        super().__init__()
        self.count, self.depth, self.a, self.b = 16, 32, nn.Conv2d(3, 32, 1), nn.Conv2d(48, 16, 1)
        self._build()

    def _build(self):
        self.built = self.depth

    def forward(self, x):
        first, second = self.a(x).chunk(2, 1)
        return self.b(torch.cat([first, second, second.relu()], 1))

    def forward_split(self, x):
        first, second = self.a(x).split((self.count, self.count), 1)
        return self.b(torch.cat([first, second, second.relu()], 1))


def test_stored_counts_that_only_another_method_reads_are_named():
    torch.manual_seed(0)
    model, x = nn.Sequential(Halves()), torch.zeros(1, 3, 8, 8)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        small = prune(model, plan(model, x, target="unit:4", budget="macs=60%"))
    assert [str(w.message).split(":")[0] for w in told] == ["0.count stays 16"]  # what builds it reads `depth`
    assert "Halves.forward_split does" in str(told[0].message) and small[0].count == 16
    small[0].count = small[0].a.out_channels // 2
    assert torch.allclose(small(x), small[0].forward_split(x))


def test_a_network_without_layers_has_nothing_to_reach():
    from padless import inspect

    cost = inspect(nn.ReLU(), torch.zeros(1, 3, 8, 8), target="unit:8")
    assert cost.totals()["macs"] == 0 and cost.reach.pinned == ()
