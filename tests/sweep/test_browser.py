"""The page of a sweep in a real browser."""

import pytest
from checks.browser import browser, faults, opened

from padless.sweep.page import sweep_page

HOSTILE = "<img src=x onerror=alert(1)>:f"


def row(number, *, model="m:f", target="unit:8", status="done"):
    done = {
        "before": {"macs": 1000, "accuracy": 90.0}, "after": {"macs": 900 - 100 * number, "accuracy": 90.0 - number**2},
        "importance_kept": 0.9, "widths": {"a": [32, 32 - number]}, "folder": f"runs/{number}",
    }  # fmt: skip
    given = {"model": model, "target": target, "budget": ["macs=50%"], "seed": number}
    return {
        "id": f"{number:016x}",
        "point": given,
        "status": status,
        **(done if status == "done" else {"error": "too <b>little</b>"}),
    }


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    rows = [row(n, target=("unit:8", "unit:16")[n % 2]) for n in range(6)]
    rows += [row(6, model=HOSTILE), row(7, status="infeasible")]
    path = tmp_path_factory.mktemp("page") / "sweep.html"
    path.write_text(sweep_page(rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_it_is_quiet_and_fits(chromium, file, width, scheme):
    with opened(chromium, file, width=width, scheme=scheme) as shown:
        assert (shown.messages, shown.requests, shown.overflow) == ([], [], 0)
        shown.page.locator("tbody tr").nth(0).click()
        assert shown.overflow == 0 and shown.page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(chromium, file, scheme):
    with opened(chromium, file, scheme=scheme, bypass_csp=True) as shown:
        shown.page.locator("tbody tr").nth(0).click()
        assert faults(shown) == []


def test_points_are_filtered_sorted_and_chosen(chromium, file):
    with opened(chromium, file) as shown:
        page = shown.page
        assert page.locator("circle").count() == 7 and page.locator("tbody tr").count() == 8
        assert page.locator("polyline").count() == 3  # one front a network and target
        lines = {line.get_attribute("stroke") for line in page.locator("polyline").all()}
        assert len(lines) == 2 and lines <= {dot.get_attribute("fill") for dot in page.locator("circle").all()}
        page.get_by_label("target", exact=True).select_option("unit:16")
        assert page.locator("circle").count() == 3
        page.get_by_role("button", name="seed", exact=True).click()
        page.get_by_role("button", name="seed", exact=True).click()
        seeds = [cells.split("\t")[2] for cells in page.locator("tbody tr").all_inner_texts()]
        assert seeds == ["5", "3", "1"]
        page.locator("tbody tr").nth(1).focus()
        page.keyboard.press("Enter")
        detail = page.locator("#detail").inner_text()
        assert "padless prune m:f --target unit:16 --budget macs=50% --seed 3 --out runs/0000000000000003" in detail
        assert "a: 32 → 29" in detail
        assert page.locator("#detail a").get_attribute("href") == "runs/3/report.html"
        page.get_by_label("target", exact=True).select_option("")
        page.get_by_label("up", exact=True).select_option("importance kept, %")
        assert page.locator("circle").count() == 7


def test_a_point_without_an_answer_says_why(chromium, file):
    with opened(chromium, file) as shown:
        shown.page.locator("tbody tr", has_text="infeasible").click()
        assert "too <b>little</b>" in shown.page.locator("#detail").inner_text()
