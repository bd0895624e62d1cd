"""A run's summary: typed, whole or refused by the field."""

import json
from dataclasses import replace

import pytest
from checks.summaries import summary

from padless.choose import Proof
from padless.errors import UsageError
from padless.report.summary import FILE, Achieved, Finetuned, Recovered, Summary

FULL = summary(
    budgets=(
        Achieved(budget="macs=50%", asked=4.0, table_total=4.0, compiler_total=4.0, next_milder=None, achieved=4, met=True),
    ),
    solver=Proof(name="by hand", status="optimal", objective=1.0, bound=1.0, gap=0.0, seconds=0.1, rounds=1),
    recovery=Recovered(method="mix", images=8, seconds=0.5, held_out={"mix": 0.1}, before=1.0, after=2.0),
    finetuning=Finetuned(
        start="0", folder="runs/a", data="digits", recipe={"epochs": 2, "peak_lr": 0.1, "channels_last": False}, devices=1,
        accelerator="cpu", before=1.0, after=2.0, losses=(1.0, 0.5), seconds=1.0, images_per_second=9.0,
    ),
    variant={"memory_mode": "Sram_Only"}, freeze=("stem",), weights="w.safetensors", data="digits", ratio=0.5, oracle="ceil",
)  # fmt: skip


@pytest.mark.parametrize("whole", [summary(), FULL], ids=["small", "full"])
def test_what_is_written_is_read_again(whole, tmp_path):
    (tmp_path / FILE).write_text(whole.to_json())
    assert Summary.read(tmp_path) == whole


def test_what_is_missing_or_wrong_is_named(tmp_path):
    fields = json.loads(FULL.to_json())

    def refusal(text: str) -> str:
        (tmp_path / FILE).write_text(text)
        with pytest.raises(UsageError) as caught:
            Summary.read(tmp_path)
        return str(caught.value)

    without = {name: value for name, value in fields.items() if name != "oracle"}
    assert "does not say its oracle: an older padless made it. Prune again" in refusal(json.dumps(without))
    assert "does not hold a run: steps: Input should be a valid integer" in refusal(
        json.dumps({**fields, "steps": "1"})
    )
    assert "does not hold a run: more: Unexpected keyword argument" in refusal(json.dumps({**fields, "more": 1}))
    assert "has no readable summary.json" in refusal("{")
    (tmp_path / "plan.json").write_text("{}")
    (tmp_path / FILE).unlink()
    with pytest.raises(UsageError, match="was saved from Python and does not say which model it is of"):
        Summary.read(tmp_path)


def test_a_summary_is_checked_when_it_is_made():
    with pytest.raises(ValueError, match="epochs"):
        replace(FULL, epochs="many")
