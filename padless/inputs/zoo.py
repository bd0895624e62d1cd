"""Models by name: `cifar10/NAME`, `torchvision/NAME`, `timm/NAME`, `package.module:factory`, or an ONNX file's path."""

import importlib
import sys
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import nn

from padless.batches import bytes_of
from padless.calls import check_finite, current_folder, imported
from padless.errors import PadlessError, UsageError, missing_extra, suggest
from padless.files import digest, regular
from padless.inputs.preprocess import Preprocess
from padless.inputs.shapes import inputs_of, text_of
from padless.onnx import OnnxNet, Reading, Shapes, example_inputs, load_onnx

CIFAR = Preprocess(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))
IMAGENET = Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedModel:
    """A model with what its training fixed: the input shape, and how images become its input.

    Without `preprocess` the statistics of the training images are used.
    """

    name: str
    model: nn.Module
    input_shape: tuple[int, ...]
    preprocess: Preprocess | None

    def inputs(self, texts: Sequence[str] | None) -> tuple[str, ...]:
        """What it takes, as `--input-shape` writes it: what was given, or the usual; that of a file is its own."""
        if isinstance(self.model, OnnxNet):
            return tuple(map(text_of, example_inputs(self.model)))
        return inputs_of(texts, self.input_shape)


def load_model(name: str, *, input_shape: Shapes | None = None, reading: Reading | None = None) -> LoadedModel:
    """The model called `name`, with random weights from the current seed; that of an ONNX file with its own.

    `input_shape` is such as (1, 3, 224, 224), or for an ONNX file as `load_onnx` takes it.
    `reading` says how an ONNX file is read. Raises UsageError when the name is unknown (the nearest known names are in the
    message), its package is missing, or a file cannot be read.
    """
    if name.endswith(".onnx"):
        return _onnx(name, input_shape, reading or Reading())
    if reading not in (None, Reading()):
        raise UsageError(f"--dequantise and --until are for ONNX files; {name!r} is none.")
    if isinstance(input_shape, Mapping):
        raise UsageError(f"input_shape has names, which are for ONNX files; {name!r} is none. Give (1, 3, 224, 224).")
    shape = cast("tuple[int, ...] | None", input_shape)
    family, _, form = name.partition("/")
    if ":" in name and "/" not in name:
        return _factory(name, shape)
    if family in FAMILIES and form:
        return FAMILIES[family](name, form, shape)
    raise UsageError(
        f"Unknown model {name!r}. Write cifar10/NAME, torchvision/NAME, timm/NAME, package.module:factory or FILE.onnx. "
        f"{suggest(name, [f'cifar10/{form}' for form in CIFAR_FORMS])}".rstrip()
    )


def _onnx(name: str, input_shape: Shapes | None, reading: Reading) -> LoadedModel:
    network = load_onnx(name, input_shape=input_shape, dequantise=reading.dequantise, until=reading.until or None)
    return LoadedModel(name=name, model=network, input_shape=tuple(network.example_shapes[0]), preprocess=None)


def import_torchvision() -> Any:
    """torchvision, whose models work without its compiled operators.

    The wheel that matches a CPU-only torch may fail to import on a missing `torchvision::nms`; then the module that
    describes those operators is left out, which no classification model needs.
    """
    try:
        return importlib.import_module("torchvision")
    except ImportError as error:
        raise missing_extra("torchvision", "zoo", "This model") from error
    except RuntimeError:
        for module in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
            del sys.modules[module]
        sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
        return importlib.import_module("torchvision")


def _build(name: str, known: list[str], build: Callable[[], nn.Module], family: str) -> nn.Module:
    if name not in known:
        raise UsageError(f"{family} has no model {name!r}. {suggest(name, known)}".rstrip())
    return build()


def _cifar10(name: str, form: str, input_shape: tuple[int, ...] | None) -> LoadedModel:
    """The usual CIFAR forms: same modules and parameter names as torchvision's, sized for 32x32 images."""
    models = import_torchvision().models
    model = _build(form, list(CIFAR_FORMS), lambda: CIFAR_FORMS[form](models), "cifar10")
    return LoadedModel(name=name, model=model, input_shape=input_shape or (1, 3, 32, 32), preprocess=CIFAR)


def _vgg16_bn(models: Any, width: float = 1.0) -> nn.Module:
    vgg = models.vgg
    widths = [layer if layer == "M" else int(width * layer) for layer in vgg.cfgs["D"]]
    model: nn.Module = vgg.VGG(vgg.make_layers(widths, batch_norm=True), num_classes=10)
    model.avgpool, model.classifier = nn.Identity(), nn.Linear(widths[-2], 10)
    return model


def _resnet18(models: Any) -> nn.Module:
    model: nn.Module = models.resnet18(num_classes=10)
    model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return model


def _mobilenet_v2(models: Any, width: float = 1.0, second_stride: int = 1) -> nn.Module:
    strides = (1, second_stride, 2, 2, 1, 2, 1)
    sizes = [[1, 16, 1], [6, 24, 2], [6, 32, 3], [6, 64, 4], [6, 96, 3], [6, 160, 3], [6, 320, 1]]
    blocks = [[*size, stride] for size, stride in zip(sizes, strides, strict=True)]
    model: Any = models.mobilenet_v2(num_classes=10, width_mult=width, inverted_residual_setting=blocks)
    model.features[0][0].stride = (1, 1)
    return cast(nn.Module, model)


def _densenet_bc(models: Any) -> nn.Module:
    """100 layers, growth 12 (Huang et al., CVPR 2017)."""
    model: Any = models.DenseNet(12, (16, 16, 16), num_init_features=24, num_classes=10)
    model.features.conv0 = nn.Conv2d(3, 24, 3, padding=1, bias=False)
    for name in ("norm0", "relu0", "pool0"):
        delattr(model.features, name)
    return cast(nn.Module, model)


CIFAR_FORMS: dict[str, Callable[[Any], nn.Module]] = {
    "vgg16_bn": _vgg16_bn, "resnet18": _resnet18, "mobilenet_v2": _mobilenet_v2, "densenet_bc": _densenet_bc,
    # Siblings that two cores can train: fewer channels, and for MobileNetV2 a quarter of the pixels behind the stem.
    "vgg16_bn_x0_25": partial(_vgg16_bn, width=0.25),
    "mobilenet_v2_x0_5": partial(_mobilenet_v2, width=0.5, second_stride=2),
}  # fmt: skip


def _torchvision(name: str, form: str, input_shape: tuple[int, ...] | None) -> LoadedModel:
    models = import_torchvision().models
    segmenting = models.list_models(module=models.segmentation)  # which would fetch weights for their backbones
    options = {"weights_backbone": None} if form in segmenting else {}
    known = models.list_models(module=models) + segmenting
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # about how weights are initialised
        model = _build(form, known, lambda: models.get_model(form, weights=None, **options), "torchvision")
    return LoadedModel(name=name, model=model, input_shape=input_shape or (1, 3, 224, 224), preprocess=IMAGENET)


def _timm(name: str, form: str, input_shape: tuple[int, ...] | None) -> LoadedModel:
    try:
        import_torchvision()
        timm = importlib.import_module("timm")
    except ImportError as error:
        raise missing_extra("timm", "zoo", f"{name}") from error
    model: Any = _build(
        form.split(".")[0], timm.list_models(), lambda: timm.create_model(form, pretrained=False), "timm"
    )
    config = model.pretrained_cfg
    shape = input_shape or (1, *config.get("input_size", (3, 224, 224)))
    preprocess = Preprocess(mean=tuple(config["mean"]), std=tuple(config["std"]))
    return LoadedModel(name=name, model=model, input_shape=shape, preprocess=preprocess)


WRAPPERS = {"module.": "DataParallel", "_orig_mod.": "torch.compile"}  # what each puts before every name


# Family -> what makes a model of it from its whole name, its name in the family, and an input shape.
FAMILIES: dict[str, Callable[[str, str, tuple[int, ...] | None], LoadedModel]] = {
    "cifar10": _cifar10, "torchvision": _torchvision, "timm": _timm,
}  # fmt: skip


def _factory(name: str, input_shape: tuple[int, ...] | None) -> LoadedModel:
    try:
        factory = imported(name)
    except Exception as error:  # the user's module may fail in any way
        raise UsageError(f"Cannot load the model {name!r}: {error}. Expected package.module:factory.") from error
    try:
        with current_folder():  # it may import more
            model = factory()
    except Exception as error:
        raise PadlessError(f"{name}() failed: {type(error).__name__}: {error}") from error
    if not isinstance(model, nn.Module):
        raise UsageError(f"{name}() returned {type(model).__name__}; expected a torch.nn.Module.")
    shape = input_shape or getattr(model, "input_shape", None)
    if shape is None:
        raise UsageError(f"The input shape of {name} is unknown. Give --input-shape, such as 1,3,224,224.")
    return LoadedModel(name=name, model=model, input_shape=tuple(shape), preprocess=None)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load safetensors into `model`, converted to its own types. Nothing is unpickled.

    Raises UsageError when the file is not safetensors or does not fit, with the first names and shapes that differ, and
    where it has whole or complex numbers for floating point ones, or a NaN or infinity. Then the model stays as it is.
    """
    try:
        weights = load_file(regular(path))
    except FileNotFoundError as error:
        raise UsageError(f"No weights at {path}.") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise UsageError(
            f"{path} is not a safetensors file ({error}). Pickled checkpoints are not read: convert them with "
            "safetensors.torch.save_file(state_dict, path)."
        ) from error
    own = model.state_dict()
    prefix = next((p for p in WRAPPERS if weights and all(name.startswith(p) for name in weights)), None)
    if prefix and {name.removeprefix(prefix) for name in weights} == set(own):
        raise UsageError(
            f"Every name in {path} starts with {prefix!r}, as {WRAPPERS[prefix]} saves it; without it they are the model's. "
            f"Save them without: save_file({{name.removeprefix({prefix!r}): t for name, t in weights.items()}}, path)."
        )
    wrong = [f"{n}: the file has {_shape(weights, n)}, the model {_shape(own, n)}" for n in {**own, **weights}
             if _shape(weights, n) != _shape(own, n)]  # fmt: skip
    if wrong:
        hidden = f"\n  … and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UsageError(f"{path} does not fit the model:\n  " + "\n  ".join(wrong[:3]) + hidden)
    kinds = [f"{n}: the file has {_kind(t)}, the model {_kind(own[n])}" for n, t in weights.items()
             if _kind(t) != _kind(own[n]) and (own[n].is_floating_point() or t.is_complex())]  # fmt: skip
    if kinds:
        raise UsageError(
            f"{path} does not fit the model, whose numbers are of another kind:\n  " + "\n  ".join(kinds[:3])
        )
    check_finite(model, str(path), weights)
    model.load_state_dict(weights)


def weights_bytes(model: nn.Module) -> bytes:
    """A model's tensors as a safetensors file, which wants that none share memory, as tied weights of several names do."""
    return save({name: t.detach().cpu().clone().contiguous() for name, t in model.state_dict().items()})


def weights_digest(model: nn.Module) -> str:
    """A hash of a model's tensors: equal for equal weights."""
    parts: list[bytes | memoryview] = []
    for name, tensor in sorted(model.state_dict().items()):
        parts += [name.encode(), bytes_of(tensor)]
    return digest(*parts)


def _kind(tensor: torch.Tensor) -> str:
    """What a conversion must not cross: a network of whole numbers is none of floating point ones."""
    if tensor.is_floating_point():
        return "floating point numbers"
    return f"{str(tensor.dtype).removeprefix('torch.')} numbers" if tensor.is_complex() else "whole numbers"


def _shape(tensors: dict[str, torch.Tensor], name: str) -> str:
    return "x".join(map(str, tensors[name].shape)) or "a scalar" if name in tensors else "nothing"
