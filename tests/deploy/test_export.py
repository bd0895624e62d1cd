"""Exporting."""

import sys
import types

import pytest
import torch
from models.blocks import BLOCKS
from torch import nn

import padless
from padless import export, plan, prune
from padless.errors import PadlessError, UsageError

X = torch.zeros(1, 3, 16, 16)


def test_exporting_leaves_the_model_as_it_was(pruned, tmp_path):
    model = pruned[0].train()
    export(model, X, tmp_path / "m.pt2")
    assert model.training


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_exports_compute_the_same_at_the_pruned_widths(pruned, suffix, tmp_path):
    model, _ = pruned
    exported = export(model, X, tmp_path / f"m.{suffix}")
    assert exported.parity < 1e-5 and exported.bytes == exported.file.stat().st_size and exported.fidelity is None
    assert [p.name for p in tmp_path.iterdir()] == [f"m.{suffix}"]
    if suffix == "onnx":
        import onnx

        graph = onnx.load(tmp_path / "m.onnx").graph
        assert {n.op_type for n in graph.node} <= {"Conv", "Relu", "Add", "ReduceMean", "Gemm", "BatchNormalization"}
        shapes = {t.name: list(t.dims) for t in graph.initializer}
        widths = [shapes[n.input[1]][0] for n in graph.node if n.op_type == "Conv"]
        assert widths == [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)]


def test_transposed_and_standardised_convolutions_are_exported(tmp_path):
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(3, 16, 1), nn.ConvTranspose2d(16, 16, 2, 2), nn.MaxPool2d(2))
    model = nn.Sequential(stem, BLOCKS["standardised"](16, max)[0]).eval()
    x = torch.randn(1, 3, 8, 8)
    pruned = prune(model, plan(model, x, target="unit:8", budget="macs=50%"))
    assert export(pruned, x, tmp_path / "small.onnx").parity < 1e-3


def test_an_export_that_differs_is_not_written(pruned, tmp_path, monkeypatch):
    model, _ = pruned
    with pytest.raises(UsageError, match=r"Cannot export to m.txt. Known endings: .tflite, .int8.onnx, .onnx, .pt2"):
        export(model, X, tmp_path / "m.txt")
    module = sys.modules["padless.deploy.export"]  # the package offers the function of that name

    monkeypatch.setattr(module, "_pt2", lambda m, x, file: file.write_text("") or [m(*x).detach() + 1])
    with pytest.raises(PadlessError, match="differs from the model by .*; not written"):
        export(model, X, tmp_path / "m.pt2")
    monkeypatch.setattr(module, "TOLERANCE", -1.0)
    with pytest.raises(PadlessError, match=r"m\.int8\.onnx differs from the model by .*; not written"):
        export(model, X, tmp_path / "m.int8.onnx", images=[torch.randn(2, 3, 16, 16)])
    layers = padless.trace(model, X).layers
    lost = types.SimpleNamespace(layers=layers[1:])
    monkeypatch.setattr("padless.deploy.onnx.trace", lambda m, *x: lost)
    with pytest.raises(PadlessError, match="The exported file has convolutions"):
        export(model, X, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_missing_onnx(pruned, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        UsageError, match=r"needs the package onnxruntime. Install it with: pip install 'padless\[onnx\]'"
    ):
        export(pruned[0], X, tmp_path / "m.onnx")


class Blur(nn.Module):
    """A fixed kernel, spread over the channels or not, kept in a buffer or beside them."""

    def __init__(self, buffer, spread):
        super().__init__()
        kernel, self.spread = torch.ones(1, 1, 3, 3) / 9, spread
        if buffer:
            self.register_buffer("kernel", kernel)
        else:
            self.kernel = kernel

    def forward(self, x):
        b, c, h, w = x.shape
        if self.spread:
            return nn.functional.conv2d(x, self.kernel.repeat(c, 1, 1, 1), stride=2, groups=c)
        return nn.functional.conv2d(x.reshape(b * c, 1, h, w), self.kernel, padding=1).reshape(b, c, h, w)


@pytest.mark.parametrize("buffer", [True, False])
@pytest.mark.parametrize("spread", [True, False])
def test_fixed_kernels_are_exported(buffer, spread, tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), Blur(buffer, spread), nn.Conv2d(16, 4, 1)).eval()
    assert export(model, X, tmp_path / "m.onnx").parity < 1e-4


class Logarithm(nn.Module):
    """Lives above two; its second output says where its first is above zero."""

    def __init__(self):
        super().__init__()
        self.net = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        y = self.net((x - 2).log())
        return y, y > 0


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_files_are_checked_where_the_network_lives(suffix, tmp_path):
    model = Logarithm().eval()
    assert export(model, torch.rand(1, 3, 8, 8) + 2.5, tmp_path / f"m.{suffix}").parity < 1e-5
    with pytest.raises(
        PadlessError, match="neither on normal and positive inputs nor on the example, .* Give padless.export"
    ):
        export(model, torch.zeros(1, 3, 8, 8), tmp_path / f"other.{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == [f"m.{suffix}"]
