"""Rooflines."""

import pytest
import torch
from models.networks import small
from torch import nn

from padless import inspect, load_target
from padless.cost.roofline import roofline
from padless.errors import UsageError
from padless.report.roofline import roofline_page


def test_utilisation_and_bounds():
    cost = inspect(small(), torch.zeros(1, 3, 16, 16), target="gemmini-16")
    points = roofline(cost, load_target("gemmini-16"))
    stem = points[0]
    assert (stem.macs, stem.cycles) == (256 * 27 * 16, 256 * 9 * 16 * 16 // 256)
    assert stem.utilisation_percent == pytest.approx(100 * 3 / 16)
    assert stem.intensity == pytest.approx(stem.macs / (27 * 16 + 256 * 3 + 256 * 16))
    assert {p.bound for p in points} == {"unknown"}  # no source states Gemmini's bandwidths
    assert {p.bound for p in roofline(inspect(nn.Linear(256, 256), torch.zeros(1, 256), target="google-tpu-v1"),
                                      load_target("google-tpu-v1"))} == {"memory"}  # fmt: skip


def test_an_oracle_that_knows_the_waiting_says_what_binds():
    pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")
    model = nn.Sequential(
        nn.Conv2d(32, 32, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2000)
    ).eval()
    cost = inspect(model, torch.zeros(1, 32, 16, 16), target="ethos-u55-256")
    bounds = {p.name: p.bound for p in roofline(cost, load_target("ethos-u55-256"))}
    assert bounds == {"0": "compute", "3": "memory"}
    page = roofline_page(cost, load_target("ethos-u55-256"), "it <on> U55")
    assert "it &lt;on&gt; U55" in page and page.count("<circle") == 2
    assert "flash 1 B/cycle" in page and "memory-bound" in page


def test_no_roofline_without_cycles_or_a_peak():
    for target, oracle in (("unit:16", None), ("gemmini-16", "onnxruntime")):
        cost = inspect(small(), torch.zeros(1, 3, 16, 16), target=target, oracle=oracle)
        with pytest.raises(
            UsageError, match=f"No roofline for {target}: it needs cycles, and the target's MACs a cycle"
        ):
            roofline_page(cost, load_target(target), "it")
