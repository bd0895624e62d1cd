"""A teacher is followed, and its maps pull."""

import dataclasses

import pytest
import torch
from models.digits import network, seeded
from torch import nn

from padless import Recipe, evaluate, finetune, plan, prune
from padless.errors import UsageError
from padless.train.teacher import Lesson


def test_a_teacher_is_followed_and_left_alone(digits):
    teacher = seeded()
    finetune(teacher, digits, Recipe(epochs=4, peak_lr=0.1, distill=0.0))
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    teacher.train()
    scrambled = dataclasses.replace(digits, train_labels=digits.train_labels[torch.randperm(len(digits.train_labels))])
    student = seeded(1)
    finetune(student, scrambled, Recipe(epochs=6, peak_lr=0.1, distill=1.0), teacher=teacher)
    assert evaluate(student, digits) > 80  # no label was right
    assert teacher.training and all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())


def test_networks_that_end_in_a_softmax_train_as_without_it(few):
    def losses(*ending):
        teacher, student = (nn.Sequential(seeded(n), *ending) for n in (0, 1))
        return finetune(student, few, Recipe(epochs=3, peak_lr=0.1, distill=0.5), teacher=teacher).losses

    assert losses(nn.Softmax(1)) == pytest.approx(losses(), rel=1e-3)


def test_features_pull_maps_towards_the_teachers(few):
    teacher = seeded()
    finetune(teacher, few, Recipe(epochs=3, peak_lr=0.1))
    made = plan(teacher, torch.zeros(1, 1, 16, 16), target="unit:2", budget="macs=60%")
    x = few.normalised(few.test)

    def distance(features):
        small = prune(teacher, made)
        recipe = Recipe(epochs=4, batch=20, features=features)
        lesson = Lesson(small, recipe, teacher, made) if features else None
        finetune(small, few, recipe, teacher=teacher, plan=made)
        if lesson:
            assert set(lesson.taps) == {"0", "3"}
        kept = torch.tensor(made.keep["0"])
        with torch.no_grad():
            return float((small[0](x) - teacher[0](x)[:, kept]).square().mean())

    assert distance(10.0) < 0.7 * distance(0.0)


def test_features_need_the_teacher_and_the_plan(few):
    with pytest.raises(UsageError, match="takes the teacher, and the plan"):
        finetune(network(), few, Recipe(features=1.0), teacher=network())
