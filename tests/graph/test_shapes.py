"""Shapes that are answered without meta kernels, and that torch's compiler is not imported to get them."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from padless.graph.shapes import SHAPES

HERE = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
aten = torch.ops.aten


def answer(function, arguments):
    try:
        return function(*arguments)
    except RuntimeError:
        return None


@pytest.mark.parametrize(("function", "count"), [(aten.mm.default, 2), (aten.addmm.default, 3)])
def test_products_have_the_shapes_that_meta_kernels_give(function, count):
    sizes = [(4,), (1,), (2, 3), (3, 4), (2, 4), (1, 4), (3,), ()]
    every = [torch.empty(size, device="meta", dtype=d) for size in sizes for d in (torch.float32, torch.float64)]
    known = 0
    for arguments in itertools.product(every, repeat=count):
        ours, theirs = answer(SHAPES[function], arguments), answer(function, arguments)
        assert (ours is None) == (theirs is None), arguments
        if ours is not None:
            assert (ours.shape, ours.dtype, ours.device) == (theirs.shape, theirs.dtype, theirs.device)
            known += 1
    assert known >= 2


TRACED = """
import sys, torch
from models.networks import small
from padless import plan, prune
model = small()
prune(model, plan(model, torch.zeros(1, 3, 16, 16), target="unit:8", budget="macs=50%"))
print([name for name in sys.modules if name in ("torch._dynamo", "torch._inductor")])
"""


def test_a_cut_does_not_import_the_compiler():
    done = subprocess.run([sys.executable, "-c", TRACED], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert done.stdout.strip() == "[]"
