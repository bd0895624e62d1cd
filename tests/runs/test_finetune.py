"""What a run's folder must say so that its costs can be asked again."""

import pytest
import torch
from checks.summaries import summary
from checks.vela_command import INI
from models.networks import small

from padless import inspect, load_target, plan
from padless.runs.finetune import _costs


def test_the_same_system_is_asked_again_though_its_file_is_gone(tmp_path):
    pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")
    (tmp_path / "board.ini").write_text(INI)
    target = load_target("ethos-u55-64", system="Board", vela_config=tmp_path / "board.ini")
    (tmp_path / "board.ini").unlink()
    model = small()
    first = inspect(model, torch.zeros(1, 3, 16, 16), target=target).totals()
    made = summary(target=target.id, variant=target.variant)
    in_units = plan(model, torch.zeros(1, 3, 16, 16), target="unit:8", budget="macs=60%")
    dense, pruned = _costs(made, in_units, model, model)
    assert dense.totals() == pruned.totals() == first
    assert first["clock_hz"] == 100_000_000 and "Board (ini " in first["oracle"]
