"""Sentences that a page works out."""

from dataclasses import replace

import pytest
from checks.reports import group, report
from checks.reports import run_of as run_with
from checks.summaries import summary

from padless.report.page import page
from padless.report.report import StageScore
from padless.report.summary import Achieved, Treating
from padless.report.words import (
    accuracy_change,
    bound,
    cut_of,
    not_less,
    not_more,
    pays_most,
    quantity_name,
    spent,
    verdict,
    weights_bind,
)

ASKED = {"budget": "cycles=60%", "asked": 700.0, "table_total": 600.0, "next_milder": None}


def run_of(compiler_total: float = 690.0, achieved: int = 690):
    return summary(budgets=(Achieved(**ASKED, compiler_total=compiler_total, achieved=achieved, met=achieved <= 700),))


def test_a_budget_that_was_missed_says_by_how_much():
    made = run_of(achieved=714)
    told = verdict(made.budgets[0], made)
    assert told.startswith(
        "Missed: cycles=60% allows 700; the network takes 714, 2.0 % too much. The plan met it at 690;"
    )


def test_costs_are_told_in_their_own_unit():
    assert (quantity_name(report()), spent(report(), 1234.0)) == ("cycles", "1.23 k cycles")
    timed = report(unit="ns")
    assert (quantity_name(timed), spent(timed, 1500.0)) == ("time", "1.5 µs")
    stored = report(curves=replace(report().curves, quantity="weight_bytes"))
    assert spent(stored, 2048) == "2 KiB"


def waiting(npu_share: float, **sides):
    layers = tuple(
        replace(each, pruned=replace(each.pruned, time=1000, npu_time=int(1000 * npu_share), **sides))
        for each in report().layers
    )
    return report(layers=layers)


def test_what_binds_and_what_follows():
    head, advice = bound(waiting(0.2, weight_bytes=900))
    assert head == "Bound by memory: 80.0 % of the layers' cycles wait for it."
    assert advice == (
        "66.7 % of that is in stem and body. In all waiting layers reading weights from flash at 1 B/cycle explains 90.0 % "
        "of the time: fewer bytes of weights help (a budget on weight_bytes)."
    )
    roomy = replace(waiting(0.2, weight_bytes=900), limits=(), flash_bytes=(None, 1350))  # packed to a half
    assert "explains only 45.0 %" in bound(roomy)[1]
    packed = replace(roomy, flash_bytes=(None, 2000))
    assert bound(packed)[1].endswith("help (a budget on weight_bytes), or 1.95 KiB of SRAM for them (--memory-mode).")
    _, maps = bound(waiting(0.2, weight_bytes=100))
    assert "explains only 10.0 % of the time: smaller maps or strides help more" in maps
    assert bound(replace(waiting(0.2), bandwidths={"SRAM": 8.0}))[1] == "66.7 % of that is in stem and body."
    head, advice = bound(waiting(0.9))
    assert head == "Bound by computing. 10.0 % wait for memory."
    assert advice == "Fewer MACs save time: stem takes 33.3 % of the layers' time, and uses 25 % of the array."
    assert bound(replace(waiting(0.2), memory_waits=False)) == (
        "", "The longest layer: stem takes 33.3 % of the layers' time. Whether it computes or waits for memory, this oracle "
        "does not say.",
    )  # fmt: skip


def test_weights_bind_where_reading_them_explains_the_waiting():
    assert weights_bind(waiting(0.2, weight_bytes=900))
    assert not weights_bind(waiting(0.2, weight_bytes=100)) and not weights_bind(waiting(0.9, weight_bytes=900))
    assert not weights_bind(replace(waiting(0.2, weight_bytes=900), memory_waits=False))
    assert not weights_bind(replace(waiting(0.2, weight_bytes=900), bandwidths={"SRAM": 8.0}))
    ask = "padless treat . grid:17"
    held = replace(waiting(0.2, weight_bytes=900), flash_bytes=(None, 3000))
    assert ask in page(run_with(), held) and ask not in page(run_with(), waiting(0.9, weight_bytes=900))
    assert ask not in page(run_with(), replace(held, flash_bytes=(None, None)))  # who does not pack gains nothing
    done = Treating(
        folder="run", data="digits", towards="dense", layers={"stem": "grid:9"}, images=8, seconds=1.0, held_out=(0.0, 0.1),
        before=95.0, after=94.0,
    )  # fmt: skip
    assert ask not in page(run_with(treating=done), held)


def stages(dense: float, final: float, half: float | None):
    ends = {"low": None, "high": None}
    if half is not None:
        ends = {"low": final - half, "high": final + half}
    return report(
        stages=(
            StageScore(stage="dense", percent=dense, low=1.0, high=99.0),
            StageScore(stage="final", percent=final, **ends),
        )
    )


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (stages(95.0, 95.0, 2.0), ("as many images right: within the test set's uncertainty", False)),
        (stages(95.0, 94.5, 2.0), ("1 image fewer right: within the test set's uncertainty", False)),
        (stages(95.0, 90.0, 2.0), ("-5.00 points, 10 images fewer right", True)),
        (stages(90.0, 95.0, 2.0), ("+5.00 points, 10 images more right", False)),
        (stages(95.0, 94.0, None), ("-1.00 points", None)),
        (report(stages=()), ("", None)),
        (
            replace(stages(95.0, 94.5, 2.0), measured="agreement"),
            ("1 image fewer alike: within the test set's uncertainty", False),
        ),
    ],
)
def test_one_image_is_no_trend(made, told):
    assert accuracy_change(made) == told


def test_why_not_less():
    """At a price of 0.01 a cycle a worth of 1 is 100 cycles."""
    assert (
        not_less(group("a", 16), report())
        == "Not less: 8 would save 100 cycles, and lose what is worth 400 cycles elsewhere."
    )
    assert not_less(group("a", 32), report()) == "Not less: 24 would save 100 cycles, and the budget is met without it."
    assert (
        not_less(group("a", 8), report())
        == "Not less: 8 of 32 channels at least, as outputs of layer a, in units of 8."
    )
    assert not_less(group("a", 8, least=""), report()) == "Not less: nothing narrower is offered."
    assert not_less(group("a", 16, costs=(200.0, 200.0, 300.0, 400.0)), report()) == "Not less: 8 would cost no less."
    free = report(curves=replace(report().curves, price=0.0))
    assert not_less(group("a", 16), free) == "Not less: the budget is met without it. 8 would save 100 cycles."
    assert not_less(group("a", 16, worths=(), shares=()), report()) == not_less(group("a", 20), report()) == ""
    gap = group("a", 24, costs=(100.0, None, 300.0, 400.0))  # another group's width forbids 16
    assert not_less(gap, report()).startswith("Not less: 8 would save 200 cycles, and lose what is worth 600")


def test_why_not_more():
    made = run_of()
    assert not_more(group("a", 24), report(), made) == (
        "Not more: 32 would cost 100 cycles more; the plan leaves 10 cycles of the budget."
    )
    even = group("a", 24, worths=(-7.0, -3.0, -0.999, 0.0))
    assert not_more(even, report(), made) == not_more(group("a", 24), report(), made)
    poor = group("a", 24, worths=(-7.0, -3.0, -0.5, 0.0))
    assert (
        not_more(poor, report(), made)
        == "Not more: 32 would cost 100 cycles more, and keep what 50 cycles keep elsewhere."
    )
    none = group("a", 24, worths=(-7.0, -3.0, -0.001, 0.0))
    assert not_more(none, report(), made).endswith("and keep hardly more importance.")
    assert not_more(group("a", 32), report(), made) == ""
    assert not_more(group("a", 24), report(), run_of(compiler_total=0.0)).endswith("the budgets leave no room for it.")
    assert not_more(group("a", 24), report(), summary()).endswith("the budgets leave no room for it.")
    assert not_more(group("a", 24, costs=(1.0, 2.0, 3.0, 3.0)), report(), made).startswith(
        "Not more: 32 costs no more by the tables"
    )
    last = group("a", 24, levels=(8, 16, 24), costs=(1.0, 2.0, 3.0), worths=(-2.0, -1.0, 0.0), shares=(0.1, 0.2, 0.3))
    assert not_more(last, report(), made) == "Not more: nothing wider is offered."


def test_which_group_pays_most():
    def told(*groups) -> str:
        return pays_most(report(groups=groups, curves=replace(report().curves, family=())))

    cut = group("a", 16)
    assert told(cut, group("b", 24), group("c", 32)) == (
        "a loses most: 50.0 % of its importance. It saves most: 200 cycles, those of its readers among them."
    )
    dear = group("b", 24, costs=(1e3, 2e3, 3e3, 4e3))
    assert told(cut, dear).endswith("b saves most: 1 k cycles, those of its readers among them.")
    assert told(group("c", 32), group("d", 20)) == ""
    ends = group("a", 8, levels=(8, 16), costs=(1.0, 2.0), worths=(-1.0, 0.0), shares=(0.1, 0.5))
    assert told(ends) == "a loses most: 90.0 % of its importance."


def test_what_a_cut_did():
    assert cut_of(group("a", 16), report()) == "Saves 200 cycles, keeps 50.0 % of its importance."
    assert cut_of(group("a", 32), report()) == "Kept whole."
    assert cut_of(group("a", 32, zeros=8), report()) == "Kept whole, with 8 channels of zeros."
    assert cut_of(group("a", 20), report()) == "Cut to 20 of 32."
    last = group("a", 16, levels=(8, 16), costs=(1.0, 2.0), worths=(-1.0, 0.0), shares=(0.1, 0.5))  # 32 fills no units
    assert cut_of(last, report()) == "Keeps 50.0 % of its importance."
