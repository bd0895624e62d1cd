"""Many processes compute what one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from padless.errors import UsageError
from padless.train import fabric as fabric_module
from padless.train import make_fabric
from padless.train.fabric import GlobalBatchNorm


def test_global_batch_norm_is_batch_norm(monkeypatch):
    monkeypatch.setattr(fabric_module, "_over_all", lambda x: x)
    torch.manual_seed(0)
    x = torch.randn(8, 3, 5, 5, requires_grad=True)
    found = []
    for norm in (nn.BatchNorm2d(3), nn.BatchNorm2d(3)):
        with GlobalBatchNorm(1) if found else torch.enable_grad():
            y = norm(x)
        (gradient,) = torch.autograd.grad((y * torch.arange(y.numel()).reshape(y.shape)).sum(), x)
        with GlobalBatchNorm(1):
            evaluated = norm.eval()(x)
        found.append((y, gradient, norm.running_mean, norm.running_var, evaluated))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"mixup": 0.2, "clip": 0.5, "ema": 0.9}], ids=["plain", "everything"])
def test_two_processes_compute_what_one_does(tmp_path, options):
    text = json.dumps({"epochs": 2, "batch": 100, "peak_lr": 0.1, **options})
    worker = Path(__file__).parents[1] / "checks" / "train_worker.py"  # in float64: training makes much of rounding
    found = {}
    for world in (1, 2):
        out = tmp_path / f"of{world}"
        command = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}", str(worker), text,
            str(out),
        ]  # fmt: skip
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        found[world] = json.loads(out.with_suffix(".json").read_text()), load_file(out.with_suffix(".safetensors"))
    assert [found[n][0]["world"] for n in (1, 2)] == [1, 2]
    curves = [torch.tensor(found[n][0]["losses"]) for n in (1, 2)]
    assert curves[0][-1] < 0.8 * curves[0][0]
    torch.testing.assert_close(curves[0], curves[1], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found[1][1], found[2][1], rtol=1e-6, atol=1e-8)


def test_devices_that_are_not_there():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UsageError, match=r"No 1 device\(s\) of the kind cuda"):
        make_fabric("cuda")
