"""Resolutions side by side."""

import json

import numpy as np
import pytest
import torch
from models.networks import Small, shaken
from PIL import Image

from padless import load_target, plan
from padless.choose.resolutions import SHARES, resolutions
from padless.cost.pricing import Pricing
from padless.errors import TraceError, UsageError


def at(*sizes):
    return {str(size): (torch.zeros(1, 3, size, size),) for size in sizes}


def test_each_is_priced_and_solved_at_the_same_budgets():
    torch.manual_seed(0)
    net = shaken(Small())
    found = resolutions(net, at(32, 16), target="unit:4", quantity="macs")
    with Pricing(net, (torch.zeros(1, 3, 32, 32),), load_target("unit:4")) as pricing:
        whole = pricing.dense().totals()["macs"]
    large, small = found
    assert (large.name, large.dense, large.share) == ("32", whole, 1.0)
    assert small.share == small.dense / whole == pytest.approx(0.25, rel=0.01)
    assert all(point.importance_kept == pytest.approx(1) for point in small.points[:-1])  # it is within them whole
    for share, point in zip(SHARES, large.points, strict=True):
        assert point.cost <= share * whole * (1 + 1e-9)
        if share < 1:
            planned = plan(net, torch.zeros(1, 3, 32, 32), target="unit:4", budget=f"macs={100 * share}%")
            assert point.widths == {id: len(kept) for id, kept in planned.keep.items()}
    tiny = resolutions(net, at(32, 16), target="unit:16", quantity="macs", shares=(0.001,))
    assert [each.points for each in tiny] == [(None,), (None,)]


def test_what_a_network_does_not_take():
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 3),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 144, 4),
    )
    with pytest.raises(TraceError, match="The model failed on input 1x3x32x32"):
        resolutions(net, at(16, 32), target="unit:4", quantity="macs")
    with pytest.raises(UsageError, match="Resolutions are compared with one another: give two or more; got 1."):
        resolutions(net, at(16), target="unit:4")


def test_on_the_command_line(run, tmp_path):
    ask = ("plan", "models.networks:Small", "--target", "unit:4", "--quantity", "macs")
    code, printed, err = run(*ask, "--resolutions", "32,16", "--json", "r.json")
    assert code == 0, err
    rows = json.loads((tmp_path / "r.json").read_text())
    assert [row["name"] for row in rows] == ["32x32", "16x16"] and len(rows[0]["points"]) == len(SHARES)
    told = " ".join(printed.split())
    assert "32x32" in told and "100.00 %" in told and "What the lower resolution itself loses is in no cell" in told
    (tmp_path / "pictures").mkdir()
    for i in range(40):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{i}.png")
    code, printed, err = run(*ask, "--resolutions", "24,16", "--data", "pictures")
    assert code == 0 and "24x24" in printed, err
    for more, message in (
        (("--resolutions", "big,16"), "Cannot read the resolutions 'big,16'. Write sizes of squares with commas"),
        (("--resolutions", "16,16"), "give two or more; got 1"),
        (
            ("--resolutions", "32,16", "--png", "p.png"),
            "--png draws a family of budgets. Leave it or --resolutions out.",
        ),
    ):
        code, _, err = run(*ask, *more)
        assert code == 2 and message in " ".join(err.split())
    code, _, err = run("plan", "models.networks:tokens", "--target", "unit:4", "--input-shape", "1,8,8", "--quantity", "macs",
                       "--resolutions", "32,16")  # fmt: skip
    assert code == 2 and "--resolutions is for networks that take one batch of pictures" in " ".join(err.split())
