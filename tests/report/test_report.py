"""A run's report as data: whole, or refused by the field; drawn up by the run itself."""

import json
from dataclasses import replace

import pytest
import torch
from checks.reports import report
from models.networks import small

from padless import Plan, Summary, plan, prune, save
from padless.errors import UsageError
from padless.report.making import wilson, with_tests
from padless.report.page import page
from padless.report.report import FILE, Report


def test_what_is_written_is_read_again(tmp_path):
    for whole in (report(), report(curves=None, limits=(), stages=(), test_images=None, flash_bytes=(None, None))):
        (tmp_path / FILE).write_text(whole.to_json())
        assert Report.read(tmp_path) == whole


def test_what_is_missing_or_wrong_is_named(tmp_path):
    fields = json.loads(report().to_json())

    def refusal(text: str) -> str:
        (tmp_path / FILE).write_text(text)
        with pytest.raises(UsageError) as caught:
            Report.read(tmp_path)
        return str(caught.value)

    without = {name: value for name, value in fields.items() if name != "memory"}
    assert "does not say its memory: an older padless made it. Prune again." in refusal(json.dumps(without))
    assert "does not hold a report: between: Input should be a valid integer" in refusal(
        json.dumps({**fields, "between": "1"})
    )
    assert "does not hold a report: more: Unexpected keyword argument" in refusal(json.dumps({**fields, "more": 1}))
    short = {**fields, "groups": [{**fields["groups"][0], "costs": [1.0]}]}
    assert "groups.0: Value error, levels, costs, worths and shares are not of one length" in refusal(json.dumps(short))
    none = {**fields, "limits": [{"of": "sram", "bytes": 0, "source": "mine"}]}
    assert "limits.0.bytes: Input should be greater than 0" in refusal(json.dumps(none))
    odd = {**fields, "bandwidths": {"SRAM": float("nan")}}
    assert "bandwidths.SRAM: Input should be a finite number" in refusal(json.dumps(odd))
    few = {**fields, "groups": fields["groups"][:1]}
    assert "Value error, a point of the family has not a width for each group" in refusal(json.dumps(few))
    assert "report.json is no JSON: Invalid JSON" in refusal("{")
    with pytest.raises(UsageError, match=r"nowhere has no readable report.json: an older padless made it, or it is no"):
        Report.read(tmp_path / "nowhere")


def test_intervals_are_wilsons():
    """The values of Brown, Cai and DasGupta's formula, worked out by hand."""
    assert wilson(50.0, 100) == (40.3832, 59.6168)
    assert wilson(100.0, 10) == (72.2467, 100.0) and wilson(0.0, 10) == (0.0, 27.7533)


def test_stages_come_in_the_order_of_a_run_and_have_intervals_where_images_are_counted():
    after = {"accuracy": 94.0, "accuracy_before_recovery": 50.0, "accuracy_int8": 93.0}
    tested = with_tests(report(), {"accuracy": 95.0}, after, "accuracy", 100, counted=True)
    assert [stage.stage for stage in tested.stages] == ["dense", "cut", "final", "final, INT8"]
    assert (tested.stages[1].low, tested.stages[1].high) == wilson(50.0, 100) and tested.test_images == 100
    compared = with_tests(report(), {}, {"agreement": 99.0}, "agreement", 100, counted=False)
    assert [(stage.low, stage.high) for stage in compared.stages] == [(None, None)]


@pytest.fixture
def folder(run, tmp_path):
    """A run on a target whose cycles a command counts."""
    code, _, err = run(
        "prune", "models.networks:Small", "--target", "unit:8", "--oracle", "expr {cin} * {cout} / {stride}", "--budget", "cycles=60%",
        "--freeze", "stem", "--limit", "sram=64KiB", "--out", "run",
    )  # fmt: skip
    assert code == 0, err
    return tmp_path / "run"


def test_a_run_draws_up_its_report(folder, run):
    made, summary, plan = Report.read(folder), Summary.read(folder), Plan.read(folder / "plan.json")
    assert [layer.name for layer in made.layers] == list(summary.widths)
    for name, of in (("dense", summary.before), ("pruned", summary.after)):
        sides = [getattr(layer, name) for layer in made.layers]
        assert sum(side.macs for side in sides) == of["macs"] and sum(side.time for side in sides) == of["cycles"]
        assert sum(side.padded_macs for side in sides) == of["padded_macs"]
    assert {group.id: group.kept for group in made.groups} == {id: len(kept) for id, kept in plan.keep.items()}
    curves = made.curves
    assert curves.quantity == "cycles" and curves.spent == plan.outcomes[0].table_total
    assert curves.kept == pytest.approx(plan.importance_kept) and curves.price > 0
    assert [point.share for point in curves.family] == sorted(point.share for point in curves.family)
    assert curves.family[-1].share <= 1 and all(len(point.widths) == len(made.groups) for point in curves.family)
    frozen = next(group for group in made.groups if group.id == "stem")
    assert (frozen.kept, frozen.levels, frozen.least) == (16, (16,), "frozen or limited to 16 channels")
    assert max(moment.bytes for moment in made.memory) == summary.after["peak_activation_bytes"]
    assert max(moment.dense_bytes for moment in made.memory) == summary.before["peak_activation_bytes"]
    assert [(limit.of, limit.bytes, limit.source) for limit in made.limits] == [("sram", 65536, "--limit")]
    assert (folder / "report.html").read_text() == page(summary, made)


def test_the_same_run_writes_the_same_report(folder, run, tmp_path):
    first = (folder / FILE).read_bytes()
    code, _, err = run(
        "prune", "models.networks:Small", "--target", "unit:8", "--oracle", "expr {cin} * {cout} / {stride}", "--budget", "cycles=60%",
        "--freeze", "stem", "--limit", "sram=64KiB", "--out", "again",
    )  # fmt: skip
    assert code == 0, err
    assert (tmp_path / "again" / FILE).read_bytes() == first


def test_ratios_ask_no_costs_of_other_widths(run, tmp_path):
    ask = (
        "prune",
        "models.networks:Small",
        "--target",
        "unit:8",
        "--oracle",
        "expr {cin} * {cout} / {stride}",
        "--allocate",
        "uniform",
    )
    assert run(*ask, "--budget", "cycles=60%", "--out", "a")[0] == 0
    assert Report.read(tmp_path / "a").curves is None
    assert "Choose with <code>--allocate optimal</code>" in (tmp_path / "a" / "report.html").read_text()
    assert run(*ask, "--budget", "macs=60%", "--out", "b")[0] == 0
    assert Report.read(tmp_path / "b").curves.quantity == "macs"  # which nobody is asked for


def test_a_network_saved_from_python_has_a_report(tmp_path):
    for importance, known in (("l1", True), (lambda graph, model, images: [1.0] * graph.channels, False)):
        torch.manual_seed(0)
        model = small()
        made = plan(model, torch.zeros(1, 3, 16, 16), target="unit:8", budget="macs=50%", importance=importance)
        save(tmp_path / "run", prune(model, made), made, factory="models.networks:small")
        told = Report.read(tmp_path / "run")
        assert told.curves.quantity == "macs" and (told.curves.kept is not None) == known
        assert any(group.costs for group in told.groups) and any(group.worths for group in told.groups) == known
        assert bool(told.curves.family) == known


def test_no_report_is_written_without_a_summary(pruned, tmp_path):
    model, made = pruned
    save(tmp_path / "run", model, made, report=report())
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["model.safetensors", "plan.json"]


def test_a_report_is_checked_when_it_is_made():
    with pytest.raises(ValueError, match="between"):
        replace(report(), between="many")
