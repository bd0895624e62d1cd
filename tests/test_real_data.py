"""The main job on trained weights and real images, where they lie beside the repository."""

import dataclasses
from pathlib import Path

import pytest
import torch

from padless import evaluate, load_images, load_model, load_weights, plan, prune, recover

SHARED = Path(__file__).parents[2] / "shared"
pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="no trained weights and images beside the repository")


def test_vgg16_on_cifar10():
    source = load_model("cifar10/vgg16_bn")
    load_weights(source.model, SHARED / "weights" / "vgg16_bn.safetensors")
    images = load_images(str(SHARED / "data" / "cifar10-jpeg"), shape=(3, 32, 32), preprocess=source.preprocess)
    assert (len(images.train), len(images.test), images.classes) == (50_000, 10_000, 10)
    few = dataclasses.replace(images, test=images.test[:500], test_labels=images.test_labels[:500])
    dense = evaluate(source.model, few)
    assert abs(dense - 87.85) < 4  # 500 of 10,000 images
    made = plan(source.model, torch.zeros(source.input_shape), target="unit:16", budget="macs=80%")
    small = prune(source.model, made)
    cut = evaluate(small, few)
    recover(small, source.model, made, few.calibration(512, seed=0), method="mix")
    assert cut < dense
    assert evaluate(small, few) > max(cut, 60)
    assert made.after["avoidable_macs_percent"] == 0
