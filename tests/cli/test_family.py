"""`padless plan`: a family of budgets."""

import json

import pytest
from rich.console import Console

from padless.choose.frontier import FrontierPoint
from padless.report.frontier import frontier, legend


def test_a_family_of_budgets_is_drawn(run, tmp_path):
    code, out, err = run(
        "plan", "models.networks:Small", "--target", "unit:4", "--quantity", "macs", "--pareto", "5", "--png", "p.png", "--json",
        "p.json",
    )  # fmt: skip
    assert code == 0, err
    points = json.loads((tmp_path / "p.json").read_text())
    assert len(points) == 5 and points[-1]["importance_kept"] == pytest.approx(1)
    assert out.count(" % ") >= 5 and (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    text = " ".join(out.split())
    assert "The dense network: 1,388,672 macs. Costs are sums over layers, brought to that total" in text
    assert "Groups in order: stem, block.body.0, down, head. --json has all widths." in text
    assert "Importance is by l1: percentages by another criterion, or on other images, cannot be compared" in text
    assert text.count(" 16 24 32 4") == 1  # the dense network's row
    general = ("--align", "none", "--freeze", "stem", "--json", "g.json")
    code, _, err = run(
        "plan", "models.networks:Small", "--target", "unit:4", "--quantity", "macs", "--pareto", "5", *general
    )
    assert code == 0, err
    widths = [point["widths"] for point in json.loads((tmp_path / "g.json").read_text())]
    assert {each["stem"] for each in widths} == {16} and any(n % 4 for each in widths for n in each.values())
    code, _, err = run("plan", "models.networks:Small", "--target", "unit:4", "--quantity", "mac")
    assert code == 2 and "Unknown quantity 'mac'. Did you mean macs" in err


def test_long_rows_are_cut_short():
    widths = {f"layer{n}": n for n in range(1, 31)}
    points = [FrontierPoint(cost=5.0, share=0.5, importance_kept=0.9, gap=0.0, seconds=0.0, widths=widths)]
    console = Console(width=200, record=True)
    console.print(frontier(points, "latency"))
    assert "23 24 … and 6 more" in console.export_text()
    lines = legend(points, "latency", "taylor")
    assert "The dense network: 10.000 ms" in lines[0] and "layer24, …. --json" in lines[1] and "by taylor" in lines[2]
