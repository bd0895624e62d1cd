"""What is measured."""

import pytest

from padless.errors import UsageError
from padless.reproduction import EQUAL, FULL, QUICK, Cell, Protocol


def test_the_cells_are_those_of_the_protocol_seed_by_seed():
    cells = list(FULL.cells())
    networks, seeds = len(FULL.networks), len(FULL.seeds)
    assert len(cells) == len(set(cells)) == networks * seeds * (1 + 3 * (1 + 3) + 3 * len(EQUAL))
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    assert len(list(QUICK.cells())) == 2 * (1 + 4 + len(EQUAL))
    assert str(cells[2]) == "vgg16_bn, NPU-aware at equal ratio 30 %, unit 8, seed 0"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ratios": (1.5,)}, "ratios lie between 0 and 1, such as 0.5 or 50%; got 1.5"),
        ({"budgets": (0.0,)}, "budgets lie between 0 and 1"),
        ({"epochs": 0}, "epochs is at least 1; got 0"),
        ({"images": -1}, "images is at least 0; got -1"),
        ({"units": (8, 1)}, "units are at least 2; got 8, 1"),
        ({"seeds": (0, -1)}, "seeds are at least 0; got 0, -1"),
        ({"networks": ()}, "Give one of networks or more"),
        ({"networks": ("vgg16",)}, "No network 'vgg16' in CIFAR form. Did you mean vgg16_bn"),
        ({"methods": ("padles",)}, "No method 'padles'. Did you mean padless"),
    ],
)
def test_what_is_out_of_range_is_said(wrong, message):
    with pytest.raises(UsageError, match=message):
        Protocol(**wrong)


def test_a_cell_says_what_it_is():
    cell = Cell(network="tiny", part="equal cycles", method="MCT", size=0.35, unit=0, seed=2)
    assert str(cell) == "tiny, MCT at equal cycles 35 %, seed 2"
