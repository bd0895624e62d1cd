"""What a run's page shows."""

import re
from dataclasses import replace

import pytest
from checks.reports import deep, group, report, run_of
from checks.summaries import summary

from padless.errors import UsageError
from padless.report.html import document
from padless.report.layertable import layer_table
from padless.report.limits import limits_of, parse_limits
from padless.report.page import page
from padless.report.report import Beside, Limit, MomentReport, Report
from padless.report.summary import Finetuned, Summary
from padless.report.svg import duration, element, human, listed, memory, percent, table


def words(html: str) -> str:
    """The text of a page, without its style and script."""
    body = html.partition("<body>")[2].partition("<script>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_the_page_answers_what_people_ask():
    shown = words(page(run_of(), report()))
    assert "✓ Met: cycles=60% allows 700; the network takes 640, 91.4 % of it." in shown
    assert "94.50 %" in shown and "95 % interval 90.4 to 96.9 % on 200 test images" in shown
    assert "SRAM fits" in shown and "of 4 KiB (--limit)" in shown
    assert "Bound by computing." in shown  # a fifth of the time waits
    assert "stem: 16 of 32" in shown and "output of the network" in shown
    assert "Most lives while stem runs: 2.93 KiB, outputs of stem (1.95 KiB), input (1,000 B)." in shown
    assert (
        "padless export ." in shown and "padless prune mine" in shown and '{"stem": 8}' in shown.replace("&quot;", '"')
    )


def test_changed_layers_come_first_and_the_others_are_folded():
    html = layer_table(report())
    assert html.index(">stem<") < html.index(">body<") < html.index('<tbody id="same">') < html.index(">head<")
    assert 'data-show="Show 1 layer that stayed as before"' in html
    same = layer_table(replace(report(), layers=report().layers[2:]))
    assert "data-fold" not in same and "<td data-v=" in same


def test_every_bar_of_a_layer_is_there():
    """An attribute without quotes would swallow the end of its element, and bars would vanish."""
    html = layer_table(report())
    assert html.count("<rect ") == html.count("</rect>") == 3 * 2 * (3 + 2)  # layers, sides, parts of both bars
    whole = page(run_of(), report())
    assert not re.search(r"<[^>]*=[^\"'>\s][^>]*>", whole.partition("<body>")[2].partition("<script>")[0])


def test_a_stage_that_is_the_one_before_it_is_not_told_twice():
    assert "fine-tuned 94.50 %" in words(page(run_of(), report()))
    assert "fine-tuned" not in words(page(run_of(epochs=0), report()))
    tuned = Finetuned(
        start="0", folder="a", data="digits", recipe={}, devices=1, accelerator="cpu", before=1.0, after=2.0, losses=(),
        seconds=1.0, images_per_second=1.0,
    )  # fmt: skip
    assert "fine-tuned 94.50 %" in words(page(run_of(epochs=0, finetuning=tuned), report()))


def test_a_run_without_images_or_oracle_has_a_page():
    bare = report(
        curves=None, limits=(), stages=(), test_images=None, flash_bytes=(None, None), memory_waits=False, memory=(),
        groups=tuple(replace(each, costs=(), worths=(), shares=()) for each in report().groups),
        layers=tuple(
            replace(each, **{
                side: replace(getattr(each, side), time=None, npu_time=None, bound="unknown", utilisation_percent=None)
                for side in ("dense", "pruned")
            }) for each in report().layers
        ),
    )  # fmt: skip
    shown = words(page(summary(), bare))
    assert "not tested" in shown and "Whether it fits" in shown and "Bound by" not in shown
    assert "cycles, as bars" not in shown and "Memory over time" not in shown and "What other budgets" not in shown


def test_padding_that_no_cut_removes_is_a_footnote():
    for align, told in (("unit", "that no cut removes: the image"), ("cost", "the compiler does not charge for")):
        shown = words(page(run_of(align=align), report()))
        assert told in shown and shown.index("removable padding") < shown.index("Besides, ")


def test_what_was_pruned_otherwise_stands_beside_it():
    other = Beside(name="general <b>", cycles=640, macs=7, avoidable_macs_percent=40.0, cut=8.0, recovered=90.0)
    html = page(run_of(), report(beside=(other,)))
    assert "Beside general pruning, at equal cycles" in words(html) and "general &lt;b&gt;" in html
    assert "8.00 90.00 40.00" in words(html) and "Beside general" not in words(page(run_of(), report()))
    after = {**run_of().after, "accuracy_before_recovery": 60.0, "accuracy_after_recovery": 90.0}
    told = words(page(run_of(after=after), report(beside=(other,))))
    assert "As cut this run is 52.00 points ahead, after recovery both are equal." in told


def test_what_does_not_fit_is_said_first_and_how_to_mend_it():
    small = (Limit(of="flash", bytes=10_000, source="--limit"),)
    shown = words(page(run_of(), report(limits=small)))
    assert "✗ Does not fit: 19.5 KiB for 9.77 KiB of flash (--limit)." in shown
    most = int(10_000 * min(2.0, run_of().after["weight_bytes"] / 20_000))  # as far as the compiler packs weights
    assert f"padless prune mine --budget weight_bytes={most} " in shown
    assert "padless report . --limit flash=10000" in shown
    assert "Does not fit" not in words(page(run_of(), report()))
    tight = (Limit(of="sram", bytes=1, source="the budget"),)
    needy = {**run_of().after, "peak_sram_bytes": 5000}
    shown = words(page(run_of(after=needy), report(limits=tight)))
    assert "padless prune mine --budget sram=1 " in shown and "padless report . --limit sram" not in shown
    assert "--budget" not in words(page(run_of(command="padless demo", after=needy), report(limits=tight)))


def test_other_budgets_stand_on_the_scale_of_the_totals():
    """The tables have this run at 60 % of dense; the whole network takes 640 of 1,100 cycles."""
    shown = words(page(run_of(), report())).partition("The same as a table")[2].partition("Memory over time")[0]
    half, mild = 0.3 * 640 / 1100 / 0.6, 640 / 1100 + 0.1 * (1 - 640 / 1100) / 0.4
    assert f"{100 * half:.1f} % 50.0 % stem 8, body 16" in shown
    assert f"{100 * 640 / 1100:.1f} % 80.0 % this run: stem 16" in shown
    assert f"{100 * mild:.1f} % 90.0 % stem 24" in shown
    free = report(curves=replace(report().curves, quantity="macs", spent=1000.0))  # nothing is known between
    assert "30.0 % 50.0 %" in words(page(run_of(), free))


def test_what_lies_between_the_layers_is_told():
    assert "Pools, additions and copies between the layers take 10 cycles more." in words(page(run_of(), report()))
    assert "take 1.5 µs more" in words(page(run_of(), report(unit="ns", between=1500)))
    assert "between the layers" not in words(page(run_of(), report(between=0)))


def test_names_are_text_whatever_they_hold():
    hostile = '"><script>alert(1)</script>'
    layers = tuple(replace(each, name=f"{hostile}{i}") for i, each in enumerate(report().layers))
    told = report(layers=layers, groups=(group(hostile, 16, pinned=None, least=hostile), *report().groups[1:]))
    html = page(run_of(model=hostile, command=hostile, notes=(hostile,)), told)
    assert hostile not in html and html.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in html


def test_many_groups_and_moments_are_folded_and_binned():
    html = page(run_of(), deep(200))
    assert html.count('<figure class="card">') == 200 and "188 more groups" in html
    assert html.count("</rect>") < 3000
    assert "blocks.199.conv" in words(html)  # the moment that binds is among those that are drawn


def test_a_network_without_maps_has_a_page():
    nothing = MomentReport(where="head", bytes=0, dense_bytes=0, tensors=())
    assert "Memory over time" in words(page(run_of(), report(memory=(nothing,))))


def test_elements_are_quoted_and_escaped():
    assert element("a", "b", class_="x\"<'", data_v=None, hidden=True, open=False, stroke_width=1.0) == (
        '<a class="x&quot;&lt;&#x27;" hidden stroke-width="1">b</a>'
    )
    assert table("of", ("a", "b"), [("1", "2")], left=(1,)).count('class="left"') == 2


def test_numbers_as_people_read_them():
    assert [human(n) for n in (0, 12, 1234, 56_000_000, 2e9)] == ["0", "12", "1.23 k", "56 M", "2 G"]
    assert [memory(n) for n in (900, 2048, 3 << 19, 200 << 20)] == ["900 B", "2 KiB", "1.5 MiB", "200 MiB"]
    assert [duration(n) for n in (1500, 2_500_000)] == ["1.5 µs", "2.5 ms"]
    assert [percent(share) for share in (1.3547, 0.0, 0.123, 0.99946, 1.0, 0.0001)] == [
        "135.5 %",
        "0.0 %",
        "12.3 %",
        "99.95 %",
        "100.0 %",
        "0.01 %",
    ]
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more"


def test_only_a_page_with_its_script_runs_one():
    assert "Content-Security-Policy" not in document("a", "b")
    assert "default-src 'none'" in document("a", "b", scripted=True)


def test_limits_are_told_asked_for_or_stated():
    from padless.hardware import load_target

    target = load_target("ethos-u55-256")
    assert parse_limits("") == ()
    told = parse_limits("sram=256KiB, flash=1MB")
    assert told == (
        Limit(of="sram", bytes=262144, source="--limit"), Limit(of="flash", bytes=1_000_000, source="--limit"),
    )  # fmt: skip
    asked = limits_of(target, ["cycles=50%", "peak_sram_bytes=100000"])
    assert [(limit.bytes, limit.source) for limit in asked] == [(100_000, "the budget")]
    assert limits_of(target, ["peak_sram_bytes=100000"], told) == told
    system = target.system.model_copy(update={"sram_bytes": 4096})
    stating = target.model_copy(update={"systems": {"Mine": system}})
    assert [(limit.bytes, limit.source) for limit in limits_of(stating, [])] == [(4096, "ethos-u55-256 Mine")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ram=1M", "Cannot read the limit 'ram=1M'. Did you mean sram"), ("sram", "Cannot read the limit 'sram'."),
        ("sram=1M,sram=2M", "Each is given once."), ("sram=50%", "A size is a number with its unit, such as 256KiB or 1MB"),
        ("flash=big", "Cannot read the limit 'flash=big'. A size is a number"),
    ],
)  # fmt: skip
def test_limits_that_cannot_be_read(text, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_limits(text)


def test_a_page_is_made_from_the_two_files_alone(tmp_path):
    (tmp_path / "report.json").write_text(report().to_json())
    (tmp_path / "summary.json").write_text(run_of().to_json())
    assert page(Summary.read(tmp_path), Report.read(tmp_path)) == page(run_of(), report())
