"""What the words on a run's page say."""

import torch
from checks.summaries import summary
from models.networks import small

from padless import inspect
from padless.report.page import page


def test_padding_is_called_by_what_aligned_the_widths():
    cost = inspect(small(), torch.zeros(1, 3, 16, 16), target="unit:8")
    in_units, by_cost = (page(summary(align=align), cost, cost) for align in ("unit", "cost"))
    assert "padding that no cut can remove" in in_units and "does not charge" not in in_units
    assert "padding that the compiler does not charge for, or that no cut can remove" in by_cost
