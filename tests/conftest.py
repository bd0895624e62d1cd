import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded():
    torch.set_num_threads(1)  # two test processes share two cores
    torch.manual_seed(0)
