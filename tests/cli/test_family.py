"""`padless plan`: a family of budgets."""

import json

import pytest


def test_a_family_of_budgets_is_drawn(run, tmp_path):
    code, out, err = run(
        "plan", "models.networks:Small", "--target", "unit:4", "--quantity", "macs", "--pareto", "5", "--png", "p.png", "--json",
        "p.json",
    )  # fmt: skip
    assert code == 0, err
    points = json.loads((tmp_path / "p.json").read_text())
    assert len(points) == 5 and points[-1]["importance_kept"] == pytest.approx(1)
    assert out.count(" % ") >= 5 and (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    code, _, err = run("plan", "models.networks:Small", "--target", "unit:4", "--quantity", "mac")
    assert code == 2 and "Unknown quantity 'mac'. Did you mean macs" in err
