"""`padless report`: pages again, and runs side by side."""

import json
import re

import pytest
from checks.reports import report
from checks.summaries import summary

from padless.errors import UsageError
from padless.report.comparing import Compared, comparison
from padless.report.report import Report, StageScore

ASK = ("prune", "models.networks:Small", "--target", "unit:8", "--oracle", "expr {cin} * {cout} / {stride}")


@pytest.fixture
def runs(run, tmp_path):
    """Two runs of one network."""
    for budget in ("70%", "50%"):
        code, _, err = run(*ASK, "--budget", f"cycles={budget}", "--out", f"at{budget[:2]}")
        assert code == 0, err
    return tmp_path


def test_a_page_is_written_again_and_against_limits(run, runs):
    folder = runs / "at70"
    first = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    code, out, err = run("report", "at70")
    assert code == 0, err
    assert (folder / "report.html").read_text() == first
    assert "Met: cycles=70%" in out and "Written: at70/report.html" in out
    code, out, err = run("report", "at70", "--limit", "sram=1KiB", "--out", "other.html")
    assert code == 0, err
    assert (folder / "report.html").read_text() == first and "does not fit" in (runs / "other.html").read_text()
    assert [limit.bytes for limit in Report.read(folder).limits] == [1024]  # it stays
    code, out, err = run("report", "at70", "--limit", "flash=1MB")
    assert code == 0, err
    assert [limit.of for limit in Report.read(folder).limits] == ["sram", "flash"]
    assert (folder / "report.html").read_text().count('role="meter"') == 2


def test_runs_side_by_side(run, runs):
    code, out, err = run("report", "at70", "at50")
    assert code == 0, err
    html = (runs / "comparison.html").read_text()
    assert "2 runs of models.networks:Small" in html and "Written: comparison.html" in out
    assert "cycles=70%" in out and "cycles=50%" in out
    totals = [json.loads((runs / name / "summary.json").read_text())["after"]["macs"] for name in ("at70", "at50")]
    assert totals[0] > totals[1]
    rows = re.findall(r"<tr><td>([^<]+)</td><td>\d+→(\d+)</td><td>(.*?)</td><td>(.*?)</td>", html)
    widths = {name: (dense, *(re.sub("<.*?>|.*→", "", cell) for cell in cells)) for name, dense, *cells in rows}
    for name, (dense, *kept) in widths.items():
        if name in ("stem", "down"):
            said = [
                json.loads((runs / r / "summary.json").read_text())["widths"][name]["c_out"] for r in ("at70", "at50")
            ]
            assert [int(dense), *map(int, kept)] == [said[0][0], said[0][1], said[1][1]]
    assert "Importance kept" in html and html.count('data-tip="at') == 2


def test_runs_of_one_name_get_their_paths(run, runs):
    (runs / "sub").mkdir()
    (runs / "at50").rename(runs / "sub" / "at70")
    code, _, err = run("report", "at70", "sub/at70", "--out", "c.html")
    assert code == 0, err
    assert "sub/at70" in (runs / "c.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("old",), "old has no readable report.json: an older padless made it"),
        (("at70", "old"), "old has no readable report.json: an older padless made it"),
        (("none",), "none has no readable summary.json"),
        (("at70", "at70"), "The runs need names of their own; got at70, at70"),
        (("at70", "at50", "--limit", "sram=1M"), "--limit is for one run"),
        (("at70", "--limit", "ram=1M"), "Cannot read the limit 'ram=1M'"),
        (("at70", "--out", "at50"), "at50 is a folder. Give the name of a file."),
    ],
)
def test_what_cannot_be_shown(run, runs, arguments, message):
    (runs / "old").mkdir()
    (runs / "old" / "summary.json").write_text((runs / "at70" / "summary.json").read_text())
    before = {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    code, _, err = run("report", *arguments)
    assert code == 2 and message in " ".join(err.split())
    assert {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()} == before


def compared(name: str, percent: float = 94.0, **changes) -> Compared:
    score = StageScore(stage="final", percent=percent, low=percent - 2, high=percent + 2)
    totals = {**summary().before, "cycles": 1000}
    told = summary(before=totals, after={**totals, "cycles": 500}, **changes)
    return Compared(name=name, summary=told, report=report(stages=(score,)))


def test_networks_that_differ_are_refused():
    other = Compared(name="b", summary=summary(model="other"), report=report(layers=report().layers[:1]))
    with pytest.raises(UsageError, match="a is a run of mine, b one of other: their dense layers differ"):
        comparison([compared("a"), other])


def test_what_keeps_runs_from_being_compared_is_told():
    html = comparison([compared("a", data="x"), compared("b", data="y", target="unit:16", weights_digest="1" * 16)])
    assert (
        "different targets: a: unit:8; b: unit:16." in html and "different test sets: a: x (200); b: y (200)." in html
    )
    assert "what they keep cannot be compared" in html.replace("\n", " ")
    assert "accuracy 94.00 %" in html and "All layers have the same widths in all runs." in html


def test_hostile_names_are_text():
    html = comparison([compared("<script>alert(1)</script>"), compared("b")])
    assert "<script>alert" not in html
