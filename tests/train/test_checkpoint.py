"""Stopping, and going on as if nothing had been."""

import dataclasses

import pytest
from checks.states import same
from models.digits import seeded

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
