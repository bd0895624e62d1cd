"""The networks of real_networks.py: a name, and what builds the network and an example input. Random weights."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from padless.inputs.zoo import import_torchvision

Built = tuple[nn.Module, tuple[Any, ...]]
NETWORKS: dict[str, Callable[[], Built]] = {}

YOLO = (
    "yolov3-tiny", "yolov3", "yolov5n", "yolov6n", "yolov8n", "yolov8n-seg", "yolov8n-pose", "yolov8n-obb", "yolov8n-cls",
    "yolov8n-ghost", "yolov8n-p2", "yolov8n-p6", "yolov9t", "yolov9s", "yolov9m", "yolov9c", "yolov10n", "yolov10s",
    "yolo11n", "yolo11n-seg", "yolo11n-pose", "yolo11n-obb", "yolo11n-cls", "yolo12n", "yolo12n-seg", "yolo12n-cls",
    "yolo26n", "yolo26n-seg", "yolo26n-pose", "yolo26n-cls", "rtdetr-l", "rtdetr-resnet50",
)  # fmt: skip
SEGMENTATION = [
    *((arch, "resnet18") for arch in ("Unet", "UnetPlusPlus", "FPN", "PSPNet", "Linknet", "MAnet", "DeepLabV3",
                                      "DeepLabV3Plus", "PAN", "UPerNet", "Segformer")),
    *((arch, encoder) for arch in ("Unet", "FPN", "DeepLabV3Plus") for encoder in ("mobilenet_v2", "efficientnet-b0")),
    ("Unet", "resnext50_32x4d"), ("Unet", "densenet121"), ("Unet", "mit_b0"), ("Unet", "timm-regnety_002"),
]  # fmt: skip
PYTORCHCV = (
    "airnet50_1x64d_r2", "bagnet9", "bam_resnet18", "bninception", "cbam_resnet18", "condensenet74_c4_g4", "darknet53",
    "darknet_tiny", "diaresnet10", "dla34", "dpn68", "drnc26", "efficientnet_b0", "espnetv2_wd2", "fbnet_cb",
    "fdmobilenet_w1", "fishnet99", "ghostnet", "hardnet39ds", "hrnet_w18_small_v1", "ibn_resnet50", "igcv3_w1",
    "inceptionresnetv2",
    "inceptionv4", "irevnet301", "menet108_8x1_g3", "mixnet_s", "mnasnet_b1", "mobilenet_w1", "mobilenetv3_large_w1",
    "nasnet_4a1056", "peleenet", "pnasnet5large", "polynet", "preresnet18", "proxylessnas_cpu", "pyramidnet101_a360",
    "regnetx002", "resnesta18", "resnet10", "scnet50", "selecsls42", "seresnet10", "shufflenet_g1_w1", "shufflenetv2_wd2",
    "sknet50", "spnasnet", "sqnxt23_w1", "squeezenet_v1_0", "tresnet_m", "vovnet27s", "wrn50_2", "xception", "zfnet",
    "bisenet_resnet18_celebamaskhq", "cgnet_cityscapes", "contextnet_cityscapes", "enet_cityscapes",
    "erfnet_cityscapes", "lednet_cityscapes", "quartznet5x5_en_ls", "simplepose_mobile_resnet18_coco",
)  # fmt: skip


def network(name: str) -> Callable[[Callable[[], Built]], Callable[[], Built]]:
    def register(build: Callable[[], Built]) -> Callable[[], Built]:
        NETWORKS[name] = build
        return build

    return register


def image(size: int = 128, colours: int = 3) -> tuple[Tensor]:
    return (torch.zeros(1, colours, size, size),)


# --- ultralytics ------------------------------------------------------------------------------------------------------


def _yolo(name: str) -> Built:
    import_torchvision()
    from ultralytics.nn import tasks

    kind = name.rpartition("-")[2]
    classes = {"seg": "SegmentationModel", "pose": "PoseModel", "obb": "OBBModel", "cls": "ClassificationModel"}
    model = tasks.RTDETRDetectionModel if name.startswith("rtdetr") else None
    model = model or getattr(tasks, classes.get(kind, "DetectionModel"))
    return model(f"{name}.yaml", verbose=False), image(256 if name.startswith("rtdetr") or "p6" in name else 128)


# --- segmentation_models_pytorch -----------------------------------------------------------------------------------------


def _segmenting(arch: str, encoder: str) -> Built:
    import_torchvision()
    import segmentation_models_pytorch as smp

    return getattr(smp, arch)(encoder_name=encoder, encoder_weights=None, classes=4), image()


# --- torchvision ----------------------------------------------------------------------------------------------------------


def _torchvision(name: str, *inputs: tuple[int, ...], **options: Any) -> Built:
    models = import_torchvision().models
    return models.get_model(name, weights=None, **options), tuple(torch.zeros(shape) for shape in inputs)


def _backbone(name: str, size: int = 128) -> Built:
    model, _ = _torchvision(name, weights_backbone=None)
    return model.backbone, image(size)


# --- pytorchcv ------------------------------------------------------------------------------------------------------------


def _pytorchcv(name: str) -> Built:
    import_torchvision()
    from pytorchcv.model_provider import get_model

    model = get_model(name, pretrained=False)
    if "quartznet" in name:
        return model, (torch.zeros(1, 64, 128), torch.tensor([128]))
    return model, image(getattr(model, "in_size", (224, 224))[0] if "cityscapes" not in name else 512)


# --- transformers ---------------------------------------------------------------------------------------------------------

SMALL = {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1]}
WINDOWED = {"image_size": 64, "depths": [1, 1]}
TRANSFORMERS: dict[str, tuple[str, dict[str, Any], int]] = {  # a class's beginning, its configuration, rows
    "resnet": ("ResNet", {**SMALL, "embedding_size": 16}, 64),
    "mobilenet_v1": ("MobileNetV1", {"depth_multiplier": 0.25}, 96),
    "mobilenet_v2": ("MobileNetV2", {"depth_multiplier": 0.5}, 96),
    "convnext": ("ConvNext", SMALL, 64),
    "convnextv2": ("ConvNextV2", SMALL, 64),
    "regnet": ("RegNet", {**SMALL, "embedding_size": 16, "groups_width": 16}, 64),
    "poolformer": ("PoolFormer", SMALL, 64),
    "bit": ("Bit", {**SMALL, "embedding_size": 16, "num_groups": 4}, 64),
    "efficientnet": ("EfficientNet", {"width_coefficient": 0.5, "depth_coefficient": 0.5, "hidden_dim": 640}, 64),
    "levit": ("Levit", {"hidden_sizes": [16, 32, 48], "depths": [1, 1, 1]}, 224),
    "segformer": ("Segformer", SMALL, 64),
    "swin": ("Swin", {**WINDOWED, "embed_dim": 24, "num_heads": [2, 4], "window_size": 4}, 64),
    "mobilevit": ("MobileViT", {"image_size": 64}, 64),
    "focalnet": ("FocalNet", {**WINDOWED, "embed_dim": 16, "focal_levels": [2, 2], "focal_windows": [3, 3]}, 64),
    "vit": ("ViT", {"image_size": 64, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}, 64),
}


def _transformers(name: str, options: dict[str, Any], size: int) -> Built:
    import_torchvision()
    import transformers

    config = getattr(transformers, f"{name}Config")(**options)
    return getattr(transformers, f"{name}ForImageClassification")(config), image(size)


@network("transformers/upernet")
def _upernet() -> Built:
    import_torchvision()
    from transformers import ConvNextConfig, UperNetConfig, UperNetForSemanticSegmentation

    backbone = ConvNextConfig(**SMALL, out_features=["stage1", "stage2", "stage3", "stage4"])
    config = UperNetConfig(backbone_config=backbone, hidden_size=64, auxiliary_in_channels=48, auxiliary_channels=32)
    return UperNetForSemanticSegmentation(config), image(64)


@network("transformers/wav2vec2_features")
def _wav2vec2() -> Built:
    import_torchvision()
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    return Wav2Vec2Model(Wav2Vec2Config(conv_dim=[64] * 7, hidden_size=48)).feature_extractor, (torch.zeros(1, 4000),)


# --- diffusers ------------------------------------------------------------------------------------------------------------


@network("diffusers/autoencoder_kl")
def _autoencoder() -> Built:
    import_torchvision()
    from diffusers import AutoencoderKL

    down, up = ["DownEncoderBlock2D"] * 2, ["UpDecoderBlock2D"] * 2
    return AutoencoderKL(
        down_block_types=down, up_block_types=up, block_out_channels=[32, 64], norm_num_groups=8
    ), image(32)


@network("diffusers/vq_model")
def _vq() -> Built:
    import_torchvision()
    from diffusers import VQModel

    return VQModel(block_out_channels=[32, 64], down_block_types=["DownEncoderBlock2D"] * 2,
                   up_block_types=["UpDecoderBlock2D"] * 2, norm_num_groups=8).encoder, image(32)  # fmt: skip


@network("diffusers/unet2d")
def _unet2d() -> Built:
    import_torchvision()
    from diffusers import UNet2DModel

    model = UNet2DModel(sample_size=32, block_out_channels=(32, 64), down_block_types=("DownBlock2D", "AttnDownBlock2D"),
                        up_block_types=("AttnUpBlock2D", "UpBlock2D"), norm_num_groups=8)  # fmt: skip
    return model, (torch.zeros(1, 3, 32, 32), torch.tensor([5]))


@network("diffusers/unet2d_condition")
def _unet2d_condition() -> Built:
    import_torchvision()
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(sample_size=16, block_out_channels=(32, 64), cross_attention_dim=32, norm_num_groups=8,
                                 down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), attention_head_dim=8,
                                 up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))  # fmt: skip
    return model, (torch.zeros(1, 4, 16, 16), torch.tensor([5]), torch.zeros(1, 8, 32))


# --- kornia ---------------------------------------------------------------------------------------------------------------


def _kornia(name: str, size: int, colours: int = 1) -> Built:
    import_torchvision()
    import kornia

    places = [kornia.feature, kornia.filters, kornia.contrib]
    build = next(getattr(place, name) for place in places if hasattr(place, name))
    return build(pretrained=False), image(size, colours)


# --- MLPerf Tiny (Banbury et al., arXiv:2106.07597), and a reader of text -----------------------------------------


@network("mlperf_tiny/ds_cnn")
def _ds_cnn() -> Built:
    """Keyword spotting (Zhang et al., arXiv:1711.07128) on 49 x 10 features."""
    parts: list[nn.Module] = [nn.Conv2d(1, 64, (10, 4), 2, (5, 1)), nn.BatchNorm2d(64), nn.ReLU()]
    for _ in range(4):
        parts += [nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 64, 1),
                  nn.BatchNorm2d(64), nn.ReLU()]  # fmt: skip
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12)), (torch.zeros(1, 1, 49, 10),)


@network("mlperf_tiny/autoencoder")
def _tiny_autoencoder() -> Built:
    """Anomaly detection on 640 features."""
    widths = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640]
    parts: list[nn.Module] = []
    for a, b in pairwise(widths[:-1]):
        parts += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(128, 640)), (torch.zeros(1, 640),)


class CRNN(nn.Module):
    """Convolutions, then two bidirectional LSTMs (Shi et al., arXiv:1507.05717)."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in ((1, 64), (64, 128), (128, 256), (256, 256))
        )
        self.norm = nn.BatchNorm2d(256)
        self.lstm = nn.LSTM(512, 128, num_layers=2, bidirectional=True)
        self.head = nn.Linear(256, 37)

    def forward(self, x: Tensor) -> Tensor:
        for i, conv in enumerate(self.convs):
            x = F.max_pool2d(F.relu(conv(x)), 2 if i < 2 else (2, 1))
        x = self.norm(x)
        x = x.permute(3, 0, 1, 2).flatten(2)
        return self.head(self.lstm(x)[0])


@network("ocr/crnn")
def _crnn() -> Built:
    return CRNN(), (torch.zeros(1, 1, 32, 100),)


def register_all() -> None:
    """The families whose members differ by their names alone."""
    for name in YOLO:
        NETWORKS[f"ultralytics/{name}"] = partial(_yolo, name)
    for arch, encoder in SEGMENTATION:
        NETWORKS[f"smp/{arch}-{encoder}"] = partial(_segmenting, arch, encoder)
    for name, given in TRANSFORMERS.items():
        NETWORKS[f"transformers/{name}"] = partial(_transformers, *given)
    for name in PYTORCHCV:
        NETWORKS[f"pytorchcv/{name}"] = partial(_pytorchcv, name)
    for name in ("r3d_18", "mc3_18", "r2plus1d_18", "s3d"):
        NETWORKS[f"torchvision/{name}"] = partial(_torchvision, name, (1, 3, 16, 64, 64))
    for name in ("deeplabv3_mobilenet_v3_large", "deeplabv3_resnet50", "fcn_resnet50", "lraspp_mobilenet_v3_large"):
        NETWORKS[f"torchvision/{name}"] = partial(_torchvision, name, (1, 3, 128, 128), weights_backbone=None)
    for name, size in (
        ("fasterrcnn_mobilenet_v3_large_320_fpn", 128), ("retinanet_resnet50_fpn", 128), ("ssd300_vgg16", 320),
        ("ssdlite320_mobilenet_v3_large", 320),
    ):  # fmt: skip
        NETWORKS[f"torchvision/{name} backbone"] = partial(_backbone, name, size)
    NETWORKS["torchvision/raft_small"] = partial(_torchvision, "raft_small", (1, 3, 128, 128), (1, 3, 128, 128))
    for name, size, colours in (
        ("HardNet", 32, 1),
        ("HyNet", 32, 1),
        ("SOSNet", 32, 1),
        ("TFeat", 32, 1),
        ("DexiNed", 64, 3),
    ):
        NETWORKS[f"kornia/{name}"] = partial(_kornia, name, size, colours)


register_all()
