"""TFLite files in LiteRT: what is written computes what the network computes."""

import json

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from models.blocks import networks
from models.networks import shaken, small
from models.tflite_functions import FUNCTIONS, Calls
from torch import nn
from torch.nn import functional as F

from padless.batches import tensors_in
from padless.deploy import Quantisation, export
from padless.deploy.exported import fidelity
from padless.deploy.litert import LiteRT
from padless.deploy.tflite import ONLY_8_BITS, TFLiteNetwork
from padless.deploy.trial import trial_of
from padless.errors import PadlessError, UsageError
from padless.tflite.calibrated import IO
from padless.tflite.ranges import METHODS

pytest.importorskip("ai_edge_litert", reason="the extra tflite is not installed")


@pytest.fixture(scope="module")
def runtime():
    with LiteRT(workers=1) as opened:
        yield opened


def calibrated(model, runtime, *inputs):
    model = model.eval()
    example = tuple(x[:1] for x in inputs)
    network = TFLiteNetwork(model, example, runtime)
    trial = trial_of(model, [inputs], [tuple(x.shape) for x in example])
    network.calibrate(trial)
    return network, trial


def decibels(network, trial, **how):
    written, _ = network.write(Quantisation(**how), {})
    return fidelity(trial, network.answers(network.runtime.file("m.tflite", written.tflite), trial), 4).decibels


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_form_is_exact_in_float_and_close_in_int8(name, runtime):
    """In 16 bits the noise of the weights' 8 remains."""
    function, last = FUNCTIONS[name]
    network, trial = calibrated(shaken(Calls(function, last)), runtime, torch.randn(4, 3, 9, 9))
    assert network.parity < 2e-6
    assert decibels(network, trial) > 15
    if not {op.code for op in network.lowered.builder.operators} & set(ONLY_8_BITS):
        assert decibels(network, trial, activations=16) > 15


@settings(max_examples=30)
@given(networks())
def test_random_networks_are_written_or_refused(runtime, drawn):
    model, x = drawn
    assume(len(x) == 1)
    try:
        network, trial = calibrated(model, runtime, torch.randn(3, *x.shape[1:]))
    except UsageError as refusal:
        message = str(refusal)
        if "aten." in message or "a weight is computed" in message:
            return
        raise
    assert network.parity < 1e-4
    assert decibels(network, trial) > -200  # it runs; the mean of a normalised map is nothing but noise in INT8


def test_the_bytes_depend_on_images_and_options_alone(tmp_path):
    """Not on the threads of PyTorch, nor on how many workers share the images."""
    model, images = small(), [torch.randn(40, 3, 16, 16, generator=torch.Generator().manual_seed(1))]
    written = []
    for threads, workers in ((1, 1), (2, 2)):
        torch.set_num_threads(threads)
        with LiteRT(workers) as runtime:
            network = TFLiteNetwork(model, torch.zeros(1, 3, 16, 16), runtime)
            network.calibrate(trial_of(model, images, [(1, 3, 16, 16)]))
            written.append(network.write(Quantisation(), {})[0].tflite)
    assert written[0] == written[1]
    export(model, torch.zeros(1, 3, 16, 16), tmp_path / "a.tflite", images=images)
    export(model, torch.zeros(1, 3, 16, 16), tmp_path / "b.tflite", images=images)
    assert (tmp_path / "a.tflite").read_bytes() == (tmp_path / "b.tflite").read_bytes() == written[0]


@pytest.mark.parametrize("ranges", METHODS)
@pytest.mark.parametrize("io", IO)
def test_what_the_file_says_of_itself_is_enough_to_run_it(ranges, io, tmp_path):
    """As a reader would: LiteRT by the signature's names, types and scales from the side file."""
    from ai_edge_litert.interpreter import Interpreter

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(5, 8)

        def forward(self, image, row):
            y = self.a(image).relu() + self.b(row)[:, :, None, None]
            return y, y.mean((2, 3))

    model, file = Two().eval(), tmp_path / "m.tflite"
    image, row = torch.randn(16, 3, 6, 7), torch.randn(16, 5)
    exported = export(
        model, (image[:1], row[:1]), file, images=[(image, row)], quantisation=Quantisation(ranges=ranges, io=io)
    )
    assert exported.others == (tmp_path / "m.tflite.json",) and exported.format == "tflite"
    assert exported.parity < 1e-6 and exported.fidelity.decibels > 30 and exported.agreement is None
    about = json.loads(exported.others[0].read_text())
    assert about["ranges"] == ranges and about["calibration_images"] == 16
    assert set(about["operators"]) == set(exported.operators) >= {"CONV_2D", "FULLY_CONNECTED"}
    interpreter = Interpreter(model_path=str(file))
    runner = interpreter.get_signature_runner("serving_default")
    given = {}
    for port, tensor in zip(about["inputs"], (image, row), strict=True):
        array = tensor[:1].numpy().transpose(port["axes"])
        assert list(array.shape) == port["shape"]
        given[port["name"]] = quantised(array, port)
    answers = runner(**given)
    with torch.no_grad():
        expected = model(image[:1], row[:1])
    for port, wanted in zip(about["outputs"], expected, strict=True):
        array = answers[port["name"]]
        assert port["type"] == str(array.dtype) == ("float32" if io == "float32" else io)
        real = array if port["scale"] is None else (array.astype(float) - port["zero_point"]) * port["scale"]
        real = real.reshape([port["model_shape"][a] for a in port["axes"]]).transpose(np.argsort(port["axes"]))
        assert np.abs(real - wanted.numpy()).max() < 0.05 * wanted.abs().max()
    assert b'"calibration_images": 16' in file.read_bytes()  # the same, in the file's own metadata


def quantised(array, port):
    if port["scale"] is None:
        return array.astype(np.float32)
    limits = np.iinfo(port["type"])
    return np.clip(np.round(array / port["scale"]) + port["zero_point"], limits.min, limits.max).astype(port["type"])


def test_noise_is_told_by_layer_with_advice(tmp_path):
    """One channel with a range that 8 bits cannot share with the others."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    ).eval()
    with torch.no_grad():
        model[0].weight[0] *= 3000
        model[1].weight[:, 0] /= 3000
    images = [torch.randn(16, 3, 12, 12)]
    exported = export(model, torch.zeros(1, 3, 12, 12), tmp_path / "m.tflite", images=images)
    assert exported.fidelity.low and exported.fidelity.layers[0][1] < 15
    assert {name for name, _ in exported.fidelity.layers} == {"0", "1", "4"}
    assert exported.fidelity.advice == "Try more calibration images than 16, then activations of 16 bits."
    better = export(
        model,
        torch.zeros(1, 3, 12, 12),
        tmp_path / "n.tflite",
        images=images,
        quantisation=Quantisation(activations=16),
    )
    assert better.fidelity.decibels > exported.fidelity.decibels + 15


def test_dead_and_tiny_activations_are_written(runtime):
    """A scale of zero would end LiteRT; a clamp at 6 does not fit its whole numbers where 6 is far away."""

    class Tiny(nn.Module):
        def __init__(self):
            super().__init__()
            self.dead, self.tiny, self.last = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 1)
            with torch.no_grad():
                self.dead.bias.fill_(-100.0)
                self.tiny.bias.fill_(1e-12)

        def forward(self, x):
            return self.last(F.relu6(self.tiny(self.dead(x).relu())))

    network, trial = calibrated(Tiny(), runtime, torch.randn(4, 3, 6, 6))
    assert decibels(network, trial) > 40


def test_bad_input_is_refused_in_one_line_and_nothing_is_written(tmp_path):
    model, x, file = small(), torch.zeros(1, 3, 16, 16), tmp_path / "m.tflite"
    images = [torch.randn(4, 3, 16, 16)]

    class Sorted(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = small()

        def forward(self, x):
            return self.net(x).sort(1).values

    def refused(kind, message, given=model, example=x, **options):
        with pytest.raises(kind, match=message):
            export(given, example, file, **{"images": images, **options})

    refused(UsageError, r"m.tflite is quantised and needs calibration images. Give images=\[…\]", images=None)
    refused(UsageError, "There are no calibration images", images=[])
    refused(UsageError, r"One of the calibration images is \[\[1, 3, 8, 8\]\]; the example is \[\[1, 3, 16, 16\]\]. Give an example of one",
            images=[torch.randn(4, 3, 8, 8)])  # fmt: skip
    refused(
        UsageError, r"cannot be written as TFLite: aten.sort has no TFLite form.* onnx-int8 may take it", given=Sorted()
    )
    refused(UsageError, "Only TFLite files are compiled, for a target", compile=True)
    refused(UsageError, "test is a Tensor; expected Images", test=x)
    nan = small()
    with torch.no_grad():
        nan.stem.weight[0, 0, 0, 0] = float("nan")
    refused(PadlessError, "output is not finite on the calibration images", given=nan)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file/deeper cannot be written: .*Give another folder"):
        export(model, x, tmp_path / "file" / "deeper" / "m.tflite", images=images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranges": "msr"}, "ranges cannot be 'msr'. Did you mean mse"),
        ({"io": "int4"}, "io cannot be 'int4'. Did you mean int8"),
        ({"activations": 4}, "Activations have 8 or 16 bits; got 4"),
        ({"activations": 16, "io": "uint8"}, "uint8 in- and outputs go with activations of 8 bits"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(UsageError, match=message):
        Quantisation(**options)


def test_what_is_infinite_inside_is_named(runtime):
    class Inside(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return 1 / (self.first(x) * 1e3).exp().clamp_min(1e-3)

    with pytest.raises(PadlessError, match=r"network exp is not finite on the calibration images, so it has no range"):
        calibrated(Inside(), runtime, torch.randn(4, 3, 6, 6))


def test_a_form_that_differs_is_not_written(runtime, monkeypatch):
    from padless.deploy import tflite

    monkeypatch.setattr(tflite, "TOLERANCE", -1.0)
    with pytest.raises(PadlessError, match=r"The TFLite form differs from the model by .* in LiteRT; not written"):
        calibrated(small(), runtime, torch.randn(4, 3, 16, 16))


@pytest.mark.parametrize("layer", [nn.ELU(), nn.PReLU(), nn.Hardswish(), nn.LogSoftmax(1)])
def test_what_has_no_16_bits_is_refused_by_its_layer(layer, runtime):
    network, trial = calibrated(nn.Sequential(nn.Conv2d(3, 4, 1), layer), runtime, torch.randn(4, 3, 6, 6))
    with pytest.raises(UsageError, match=r"1 .*: LiteRT has no [A-Z_]+ for activations of 16 bits. Take 8"):
        network.write(Quantisation(activations=16), {})
    assert decibels(network, trial) > 20


def test_several_inputs_in_a_dictionary(tmp_path):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 8, 3)

        def forward(self, batch):
            return {"map": self.a(batch["image"]) * batch["gain"]}

    given = {"image": torch.randn(8, 3, 9, 9), "gain": torch.rand(8, 1, 1, 1)}
    example = {name: t[:1] for name, t in given.items()}
    assert len(list(tensors_in(example))) == 2
    exported = export(Named().eval(), example, tmp_path / "m.tflite", images=[given])
    assert exported.fidelity.decibels > 25 and exported.fidelity.images == 8
