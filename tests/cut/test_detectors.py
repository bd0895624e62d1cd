"""Detection, segmentation, and models with several inputs and outputs."""

import pytest
import torch
from checks.cutting import check
from models.networks import shaken
from models.yolo import Yolo
from torch import Tensor, nn

from padless import load_target, trace
from padless.cost import reach
from padless.inputs import load_model
from padless.inputs.zoo import import_torchvision


@pytest.mark.parametrize("target", ["unit:8", "unit:16x8"])
def test_yolo(target):
    torch.manual_seed(0)
    model, x = shaken(Yolo(8)), torch.zeros(1, 3, 64, 64)
    check(model, x, load_target(target), seed=1)
    found = reach(trace(model, x))
    assert found.macs_percent > 95
    assert {g.id.split("/")[0].rsplit(".", 1)[0] for g in found.pinned} <= {
        f"detect.cv{k}.{i}" for k in (2, 3) for i in range(3)
    } | {"detect"}


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"])
def test_segmentation(name):
    model, x = shaken(load_model(f"torchvision/{name}").model), torch.zeros(1, 3, 64, 64)
    check(model, x, load_target("unit:8"), seed=1)
    assert reach(trace(model, x)).macs_percent > 95


class Detector(nn.Module):
    """The part of a torchvision detector that convolves; what follows picks boxes by their values."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.head

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.backbone(x)
        return self.head(list(features.values()))


@pytest.mark.parametrize("name", ["ssdlite320_mobilenet_v3_large", "retinanet_resnet50_fpn"])
def test_detectors(name):
    build = import_torchvision().models.detection.__dict__[name]
    model, x = Detector(build(weights=None, weights_backbone=None, num_classes=5)), torch.zeros(1, 3, 64, 64)
    check(shaken(model), x, load_target("unit:8"), seed=1)
    assert reach(trace(model, x)).macs_percent > 95


def test_several_inputs_and_outputs_of_any_form():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right, self.join = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(1, 8, 1), nn.Conv2d(16, 8, 1)
            self.classes, self.depth = nn.Linear(8, 3), nn.Conv2d(8, 1, 1)

        def forward(self, image, depth):
            x = self.join(torch.cat([self.left(image), self.right(depth)], 1).relu())
            return {"classes": self.classes(x.mean((2, 3))), "more": (self.depth(x), [image.mean(), None, 3])}

    model = Two()
    graph = trace(model, torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8))
    assert {g.id for g in graph.groups if not g.pinned} == {"left", "right", "join"}
    check(model, (torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)), load_target("unit:4"), seed=0)
