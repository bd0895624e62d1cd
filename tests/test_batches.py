"""Batches in parts."""

import pytest
import torch

from padless.batches import AT_ONCE, count_of, joined, parts_of


@pytest.mark.parametrize(("count", "most"), [(129, 128), (1, 32), (64, 32), (7, 3), (3, 1), (500, 500)])
def test_parts_are_the_whole_and_none_is_alone(count, most):
    """But where there is no other: a batch norm in training mode has no variance of a single image."""
    batch = {"x": torch.arange(count), "scale": torch.ones(2, 2)}
    parts = parts_of(batch, most)
    counts = [count_of(part) for part in parts]
    assert max(counts) <= most and max(counts) - min(counts) <= 1 and (min(counts) > 1 or min(count, most) == 1)
    assert torch.equal(joined(parts)["x"], batch["x"]) and all(part["scale"].shape == (2, 2) for part in parts)


def test_of_large_images_few_run_at_once():
    large, small = (torch.zeros(1).expand(40, numbers) for numbers in (AT_ONCE // 4, 3072))
    assert [len(part) for part in parts_of(large, 500)] == [4] * 10
    assert [len(part) for part in parts_of(small, 500)] == [40]
    assert [len(part) for part in parts_of(torch.zeros(1).expand(3, 2 * AT_ONCE), 500)] == [1, 1, 1]
