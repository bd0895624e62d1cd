"""Accuracy is counted."""

import pytest
import torch
from models.digits import network
from torch import nn

import padless
from padless import Recipe, against, evaluate, finetune
from padless.errors import UsageError


def test_accuracy_is_counted(digits):
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.anchor = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return torch.nn.functional.one_hot(torch.full((len(x),), 3), 10).float() + self.anchor

    model = Constant().train()
    assert evaluate(model, digits) == pytest.approx(100 * float((digits.test_labels == 3).double().mean()))
    assert model.training


def test_a_network_in_half_precision_is_tested(digits):
    torch.manual_seed(0)
    model = network(10)
    single = evaluate(model, digits)
    assert evaluate(model.bfloat16(), digits) == pytest.approx(single, abs=5)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_too_few_outputs(digits):
    for act in (lambda m: evaluate(m, digits), lambda m: finetune(m, digits, Recipe(epochs=1))):
        with pytest.raises(UsageError, match="digits has labels up to 9, the network 7 outputs"):
            act(network(7))


def unlabelled(digits):
    return padless.as_images(digits.train[:100], digits.test[:50], shape=(1, 16, 16), name="alone")


def test_without_labels_networks_are_compared_with_the_dense_one(digits):
    torch.manual_seed(0)
    dense, other = network(10).eval(), network(10).eval()
    images = unlabelled(digits)
    assert images.measured == "agreement"
    with pytest.raises(UsageError, match=r"alone has no labels. Give evaluate padless.against\(images, dense\)"):
        evaluate(dense, images)
    with pytest.raises(UsageError, match=r"alone has no labels. Give finetune padless.against\(images, dense\)"):
        finetune(dense, images, Recipe(epochs=1))
    judged = against(images, dense)
    x = images.normalised(images.test)
    with torch.no_grad():
        same = (dense(x).argmax(1) == other(x).argmax(1)).double().mean()
    assert evaluate(dense, judged) == 100 and evaluate(other, judged) == pytest.approx(100 * float(same))
    before = evaluate(other, judged)
    finetune(other, judged, Recipe(epochs=6, batch=20, augment="none"), teacher=dense)
    assert evaluate(other, judged) > before  # the dense network's choices are the labels
    assert against(digits, dense) is digits


class Maps(nn.Module):
    """Not class scores: a map, and steps in time before samples."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x):
        return x * self.scale, x.flatten(2).permute(2, 0, 1)


def test_other_outputs_are_compared_by_their_power(digits):
    judged = against(unlabelled(digits), Maps())
    assert judged.train_labels is None and [t.ndim for t in judged.answers] == [4, 1]
    assert evaluate(Maps(), judged) == 100
    assert evaluate(Maps(0.9), judged) == pytest.approx(100 * (0.99 + 1) / 2)  # 1 - 0.1 ** 2, and the second output
    assert evaluate(Maps(-3.0), judged) == pytest.approx(50)
    assert evaluate(Maps(0.0), against(unlabelled(digits), Maps(0.0))) == 100
    assert evaluate(Maps(1.0), against(unlabelled(digits), Maps(0.0))) == pytest.approx(50)


def test_outputs_that_are_no_cut_of_the_dense_networks(digits):
    judged = against(unlabelled(digits), network(10))
    for other, shapes in ((network(7), r"\[7\] and \[10\] a sample"), (Maps(), r"\[.*\] and \[10\] a sample")):
        with pytest.raises(
            UsageError, match=f"outputs are no cut of the dense network's: {shapes}. Give padless.against"
        ):
            evaluate(other, judged)
