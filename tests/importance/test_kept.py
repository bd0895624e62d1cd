"""Scores that are kept on disk: found again for equal questions alone."""

import os

import numpy as np
import pytest
import torch
from models.networks import Small
from torch import nn

from padless import plan, trace
from padless.choose import Budget, Choices, planning
from padless.choose.planning import scored
from padless.cost.pricing import Pricing
from padless.errors import UsageError
from padless.hardware import load_target
from padless.importance import importance
from padless.importance import kept as module
from padless.importance.kept import Kept

X = torch.zeros(1, 3, 16, 16)


def images(seed: int = 0) -> list[torch.Tensor]:
    return list(torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(seed)).split(8))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return Small().eval()


class Asking:
    """Counts how often the scores are made."""

    def __init__(self, graph, model, images) -> None:
        self.graph, self.model, self.images, self.times = graph, model, images, 0

    def __call__(self):
        self.times += 1
        return importance(self.graph, self.model, "reconstruction", self.images)


def asked(model, some, folder, *question) -> tuple[int, object]:
    graph = trace(model, X)
    ask = Asking(graph, model, some)
    curves = Kept(graph, model, some, folder).curves(ask, *question)
    return ask.times, curves


def test_the_second_answer_is_the_first_to_the_last_bit(model, tmp_path):
    (once, first), (again, second) = asked(model, images(), tmp_path, "a"), asked(model, images(), tmp_path, "a")
    assert (once, again) == (1, 0)
    assert (first.name, first.comparable) == (second.name, second.comparable) == ("reconstruction", True)
    direct = importance(trace(model, X), model, "reconstruction", images())
    for id, curve in direct.curves.items():
        assert curve.layers == second.curves[id].layers
        np.testing.assert_array_equal(curve.order, second.curves[id].order)
        np.testing.assert_array_equal(curve.kept, second.curves[id].kept)


def test_what_the_answer_depends_on_asks_anew(model, tmp_path, monkeypatch):
    assert asked(model, images(), tmp_path, "a")[0] == 1
    assert asked(model, images(1), tmp_path, "a")[0] == 1  # images
    assert asked(model, images(), tmp_path, "b")[0] == 1  # the question
    monkeypatch.setattr(module, "digest_of_code", lambda *_: "other code")
    assert asked(model, images(), tmp_path, "a")[0] == 1
    monkeypatch.undo()
    with torch.no_grad():
        next(model.parameters())[0, 0, 0, 0] += 1e-6
    assert asked(model, images(), tmp_path, "a")[0] == 1  # the weights


def test_equal_weights_in_another_code_ask_anew(model, tmp_path):
    assert asked(model, images(), tmp_path)[0] == 1
    for name, part in model.named_modules():
        if isinstance(part, nn.ReLU):
            model.set_submodule(name, nn.SiLU())
    assert asked(model, images(), tmp_path)[0] == 1


def test_a_changed_file_is_as_good_as_none(model, tmp_path):
    asked(model, images(), tmp_path)
    (file,) = tmp_path.rglob("*.json")
    sound = file.read_text()
    for broken in (sound[:-1], sound.replace("0", "1", 1), "", "\n", sound.partition("\n")[2]):
        file.write_text(broken)
        assert asked(model, images(), tmp_path)[0] == 1
        assert file.read_text() == sound
    file.rename(file.with_name("0" * 16 + ".json"))  # under another name
    assert asked(model, images(), tmp_path)[0] == 1


def test_only_the_newest_stay(model, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    asked(model, images(), tmp_path, "a")
    (a,) = tmp_path.rglob("*.json")
    os.utime(a, (1, 1))
    asked(model, images(), tmp_path, "b")
    (b,) = set(tmp_path.rglob("*.json")) - {a}
    os.utime(b, (2, 2))
    assert asked(model, images(), tmp_path, "a")[0] == 0  # which makes it new again
    asked(model, images(), tmp_path, "c")
    assert a.exists() and not b.exists()


def test_a_folder_that_cannot_be_written_only_costs_time(model, tmp_path):
    (tmp_path / "scores").write_text("a file in its place")
    assert asked(model, images(), tmp_path)[0] == 1
    assert asked(model, images(), tmp_path)[0] == 1


def test_planning_keeps_what_images_told_and_nothing_else(model, tmp_path, monkeypatch):
    monkeypatch.setenv("PADLESS_CACHE", str(tmp_path))
    with Pricing(model, (X,), load_target("unit:8")) as pricing:
        budgets = [Budget.parse("macs=50%")]
        for choices in (Choices(importance="l1"), Choices(importance=lambda graph, *_: np.ones(graph.channels))):
            scored(pricing, choices, images(), budgets)
        assert not [*tmp_path.rglob("*.json")]
        scored(pricing, Choices(), images(), budgets)
        assert len([*tmp_path.rglob("*.json")]) == 1
        with pytest.raises(UsageError, match="The importance taylor watches calibration images"):
            scored(pricing, Choices(importance="taylor"), [], budgets)
        monkeypatch.setenv("PADLESS_CACHE", "")
        scored(pricing, Choices(importance="taylor"), images(), budgets)
        assert len([*tmp_path.rglob("*.json")]) == 1


def test_a_second_plan_does_not_score_again(model, tmp_path, monkeypatch):
    monkeypatch.setenv("PADLESS_CACHE", str(tmp_path))
    first = plan(model, X, target="unit:8", budget="macs=50%", images=images())
    monkeypatch.setattr(planning, "importance", lambda *_, **__: pytest.fail("it scores again"))
    assert plan(model, X, target="unit:8", budget="macs=50%", images=images()) == first
    assert plan(model, X, target="unit:4", budget="macs=40%", images=images()).importance == "reconstruction"
    with pytest.raises(pytest.fail.Exception, match="it scores again"):
        plan(model, X, target="unit:8", budget="macs=50%", images=images(1))
