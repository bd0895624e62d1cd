"""Models by name, weights by file."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from models.networks import Small
from safetensors.torch import save_file

from padless.errors import PadlessError, UsageError
from padless.inputs import load_model, load_weights


def test_cifar_forms_have_torchvisions_names():
    vgg, resnet = load_model("cifar10/vgg16_bn"), load_model("cifar10/resnet18")
    assert vgg.model.classifier.weight.shape == (10, 512) and "features.40.weight" in vgg.model.state_dict()
    assert resnet.model.conv1.weight.shape == (64, 3, 3, 3) and resnet.model.conv1.stride == (1, 1)
    for source in (vgg, resnet):
        assert source.input_shape == (1, 3, 32, 32)
        assert source.model.eval()(torch.zeros(source.input_shape)).shape == (1, 10)


def test_torchvision_timm_and_factories():
    assert load_model("torchvision/mobilenet_v2").input_shape == (1, 3, 224, 224)
    timm = load_model("timm/resnet10t")
    assert timm.input_shape[0] == 1 and timm.preprocess is not None
    mine = load_model("models.networks:Small")
    assert isinstance(mine.model, Small) and mine.input_shape == (1, 3, 16, 16) and mine.preprocess is None
    assert load_model("models.networks:small", input_shape=(1, 3, 16, 16)).input_shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("resnet18", UsageError, r"Unknown model 'resnet18'. Write cifar10/NAME, .* Did you mean cifar10/resnet18"),
        ("cifar10/resnet19", UsageError, r"cifar10 has no model 'resnet19'. Did you mean resnet18"),
        ("torchvision/mobilenetv2", UsageError, r"torchvision has no model 'mobilenetv2'. Did you mean mobilenet_v2"),
        ("timm/resnet10x", UsageError, r"timm has no model 'resnet10x'. Did you mean resnet10t"),
        ("nowhere:make", UsageError, r"Cannot load the model 'nowhere:make': No module named 'nowhere'"),
        (":f", UsageError, r"Cannot load the model ':f'"),
        ("torchvision/ssd300_vgg16", UsageError, r"torchvision has no model 'ssd300_vgg16'"),
        ("models.networks:nothing_like_it", UsageError, r"Expected package.module:factory"),
        (
            "models.networks:broken",
            PadlessError,
            r"models.networks:broken\(\) failed: RuntimeError: no such checkpoint",
        ),
        (
            "models.networks:no_module",
            UsageError,
            r"models.networks:no_module\(\) returned int; expected a torch.nn.Module",
        ),
        ("models.networks:small", UsageError, r"input shape of models.networks:small is unknown. Give --input-shape"),
    ],
)
def test_bad_models(name, error, message, monkeypatch):
    if name == "models.networks:small":
        monkeypatch.delattr(Small, "input_shape")
    with pytest.raises(error, match=message):
        load_model(name)


@pytest.mark.parametrize(
    ("module", "name", "extra"), [("torchvision", "torchvision/resnet18", "zoo"), ("timm", "timm/resnet18", "zoo")]
)
def test_missing_zoos(module, name, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"pip install 'padless\[{extra}\]'"):
        load_model(name)


def test_half_precision_weights_become_the_models_type(tmp_path):
    model, other = Small(), Small()
    save_file(
        {k: v.half() if v.is_floating_point() else v for k, v in other.state_dict().items()}, tmp_path / "w.safetensors"
    )
    load_weights(model, tmp_path / "w.safetensors")
    assert model.stem.weight.dtype == torch.float32
    assert torch.equal(model.stem.weight, other.stem.weight.half().float())


def test_bad_weights(tmp_path):
    tensors = Small().state_dict()
    tensors["stem.weight"] = torch.zeros(8, 3, 3, 3)
    del tensors["head.bias"]
    save_file({**tensors, "extra": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(UsageError) as error:
        load_weights(Small(), tmp_path / "w.safetensors")
    assert "stem.weight: the file has 8x3x3x3, the model 16x3x3x3" in str(error.value)
    assert "head.bias: the file has nothing, the model 4" in str(error.value)
    assert "extra: the file has 2, the model nothing" in str(error.value)
    with pytest.raises(UsageError, match="No weights at"):
        load_weights(Small(), tmp_path / "none.safetensors")
    torch.save(Small().state_dict(), tmp_path / "w.pt")
    with pytest.raises(UsageError, match="not a safetensors file .* Pickled checkpoints are not read"):
        load_weights(Small(), tmp_path / "w.pt")


@pytest.mark.parametrize(("prefix", "wrapper"), [("module.", "DataParallel"), ("_orig_mod.", "torch.compile")])
def test_weights_of_a_wrapped_model_say_how_to_strip_the_prefix(prefix, wrapper, tmp_path):
    save_file({prefix + name: t for name, t in Small().state_dict().items()}, tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match=rf"starts with '{prefix}', as {wrapper} saves it; .*removeprefix"):
        load_weights(Small(), tmp_path / "w.safetensors")


def test_timm_after_our_torchvision():
    """Where torchvision's compiled operators do not load, as beside a torch for CPUs alone."""
    program = "from padless.inputs.zoo import import_torchvision; import_torchvision(); import timm; print('imported')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "imported\n", done.stderr


def test_set_up_lets_torchvision_be_imported_first(tmp_path):
    """As `make setup` mends it, where its compiled operators do not load."""
    root = Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("without_operators", root / "tools" / "without_operators.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.write(tmp_path).suffix == ".pth"
    code = f"import site; site.addsitedir({str(tmp_path)!r}); import timm, torchvision; print(timm.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
