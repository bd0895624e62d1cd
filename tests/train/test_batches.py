"""Batches: augmented, shared, complete."""

import dataclasses

import pytest
import torch

from padless import Recipe
from padless.errors import UsageError
from padless.train.augment import crops
from padless.train.batches import Batches


def test_augmentation_crops_and_mirrors():
    image = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8).expand(200, 1, 8, 8)
    torch.manual_seed(0)
    shift = torch.randint(0, 3, (2, 200))
    plain = crops(image, shift, torch.zeros(200, dtype=torch.bool), [1, 1])
    mirrored = crops(image, shift, torch.rand(200) < 0.5, [1, 1])
    assert plain.shape == mirrored.shape == (200, 1, 8, 8) and plain.dtype == torch.uint8
    rises = plain[:, 0, 4, 4].int() - plain[:, 0, 4, 3].int()
    assert (rises == 1).all()
    assert 60 < int((mirrored[:, 0, 4, 4].int() - mirrored[:, 0, 4, 3].int() == -1).sum()) < 140
    assert len({tuple(x.flatten().tolist()) for x in plain}) == 9  # three offsets each way


@pytest.mark.parametrize("mixup", [0.0, 0.3])
def test_the_parts_of_a_batch_are_the_whole(few, mixup):
    recipe = Recipe(batch=32, mixup=mixup)
    whole = Batches(few, recipe)
    parts = [Batches(few, recipe, rank, 4) for rank in range(4)]
    for step in (0, 3, 7):
        for field in ("x", "y", "y_mixed_in"):
            torch.testing.assert_close(
                torch.cat([getattr(p[step], field) for p in parts]), getattr(whole[step], field), rtol=0, atol=0
            )
        assert len({p[step].kept for p in parts}) == 1 and (whole[step].kept < 1) == bool(mixup)


def test_an_epoch_has_every_image_once(few):
    counted = dataclasses.replace(few, train_labels=torch.arange(200))
    batches = Batches(counted, Recipe(batch=25))
    seen = torch.cat([batches[step].y for step in range(8, 16)])
    assert sorted(seen.tolist()) == list(range(200)) and seen.tolist() != list(range(200))


def test_a_batch_that_cannot_be_shared(few):
    with pytest.raises(UsageError, match="A batch of 32 images cannot be shared by 3 devices"):
        Batches(few, Recipe(batch=32), 0, 3)


def test_narrow_images_are_cropped(few):
    thin = dataclasses.replace(few, train=few.train[:, :, :, :1])
    assert Batches(thin, Recipe(batch=20))[0].x.shape == (20, 1, 16, 1)
