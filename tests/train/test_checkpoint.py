"""Stopping, and going on as if nothing had been."""

import dataclasses
import json

import pytest
import torch
from checks.states import same
from models.digits import seeded
from safetensors.torch import load_file, save_file

import padless
from padless import Recipe, finetune
from padless.errors import UsageError
from padless.train import Checkpoints
from padless.train.batches import Batches


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("options", [{}, {"mixup": 0.2, "ema": 0.9, "clip": 0.5, "schedule": "cosine"}])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(few, tmp_path, options, monkeypatch):
    recipe = Recipe(epochs=3, batch=20, peak_lr=0.1, **options)
    teacher = seeded(1)
    undisturbed = seeded()
    expected = finetune(undisturbed, few, recipe, teacher=teacher)
    get, stops = Batches.__getitem__, [4, 10, 11, 29]

    def stopping(self, step):
        if stops and step == stops[0]:
            stops.pop(0)
            raise StoppedError
        return get(self, step)

    monkeypatch.setattr(Batches, "__getitem__", stopping)
    while True:
        model = seeded()
        try:
            found = finetune(model, few, recipe, teacher=teacher, checkpoints=Checkpoints(tmp_path, 0.0))
        except StoppedError:
            continue
        break
    assert not stops and found == expected and same(model, undisturbed)
    files = sorted(p.name for p in tmp_path.iterdir())
    assert files == ["checkpoint-00000030.safetensors", "checkpoint.json", "log.csv"]
    assert [line.split(",")[:2] for line in (tmp_path / "log.csv").read_text().splitlines()[1:]] == [
        ["1", "10"], ["2", "20"], ["3", "30"],
    ]  # fmt: skip


def test_checkpoints_of_another_run(few, tmp_path):
    finetune(seeded(), few, Recipe(epochs=1), checkpoints=Checkpoints(tmp_path))
    with pytest.raises(UsageError, match="is of another run: its recipe is"):
        finetune(seeded(), few, Recipe(epochs=2), checkpoints=Checkpoints(tmp_path))
    with pytest.raises(UsageError, match="is of another run: its start is"):
        finetune(seeded(1), few, Recipe(epochs=1), checkpoints=Checkpoints(tmp_path))
    other = dataclasses.replace(few, preprocess=padless.Preprocess(mean=(0.5,), std=(0.5,), scale=1 / 255))
    with pytest.raises(UsageError, match="is of another run: its preprocess is .*0.30.*, now .*0.5,"):
        finetune(seeded(), other, Recipe(epochs=1), checkpoints=Checkpoints(tmp_path))
    (tmp_path / "checkpoint.json").write_text("{}")
    with pytest.raises(UsageError, match="no checkpoint that can be read"):
        finetune(seeded(), few, Recipe(epochs=1), checkpoints=Checkpoints(tmp_path))


def test_other_files_beside_a_checkpoint_stay(few, tmp_path):
    (tmp_path / "checkpoint-500").mkdir()
    (tmp_path / "checkpoint-best.pt").write_text("mine")
    finetune(seeded(), few, Recipe(epochs=2), checkpoints=Checkpoints(tmp_path, 0.0))
    assert {p.name for p in tmp_path.iterdir()} == {
        "checkpoint-500", "checkpoint-best.pt", "checkpoint-00000002.safetensors", "checkpoint.json", "log.csv",
    }  # fmt: skip


def test_seconds_are_of_all_processes(few, tmp_path):
    checkpoints = Checkpoints(tmp_path, 0.0)
    first = finetune(seeded(), few, Recipe(epochs=2), checkpoints=checkpoints)
    file = tmp_path / "checkpoint.json"
    facts = json.loads(file.read_text())
    assert 0 < facts["seconds"] <= first.seconds
    file.write_text(json.dumps({**facts, "seconds": 1000.0}))
    again = finetune(seeded(), few, Recipe(epochs=2), checkpoints=checkpoints)
    assert 1000 < again.seconds < 1100 and again.losses == first.losses
    assert 0 < again.images_per_second < 1 < first.images_per_second


@pytest.mark.parametrize(
    ("change", "told"),
    [({"tensors": "../secret.safetensors"}, "is no file of a checkpoint"), ({"tensors": "/etc/passwd"}, "no file of a checkpoint"),
     ({"tensors": 3}, "is no checkpoint that can be read"), ({"step": 99}, "does not hold what this training needs .step is 99 of 2"),
     ({"step": "x"}, "does not hold what this training needs"), ({"schedule": None}, "does not hold what this training needs"),
     ({"groups": []}, "does not hold what this training needs"), ({"seconds": None}, "does not hold what this training needs")],
)  # fmt: skip
def test_a_checkpoint_from_elsewhere(few, tmp_path, change, told):
    finetune(seeded(), few, Recipe(epochs=2), checkpoints=Checkpoints(tmp_path))
    file = tmp_path / "checkpoint.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    model = seeded()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UsageError, match=told):
        finetune(model, few, Recipe(epochs=2), checkpoints=Checkpoints(tmp_path))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_checkpoint_whose_tensors_do_not_fit(few, tmp_path):
    finetune(seeded(), few, Recipe(epochs=2), checkpoints=Checkpoints(tmp_path))
    (file,) = tmp_path.glob("*.safetensors")
    tensors = load_file(file)
    name = next(name for name in tensors if tensors[name].ndim == 4)
    save_file({**tensors, name: tensors[name][:1].clone()}, file)
    with pytest.raises(UsageError, match=f"does not hold what this training needs .{name} is "):
        finetune(seeded(), few, Recipe(epochs=2), checkpoints=Checkpoints(tmp_path))
