"""Pages in a real browser. Each detector is proven on a planted fault."""

from dataclasses import replace

import pytest
from checks.browser import browser, faults, opened
from checks.reports import deep, group, layer, report, run_of, side
from checks.summaries import summary

from padless.report.comparing import Compared, comparison
from padless.report.page import page

WIDTHS, SCHEMES = (1200, 390), ("light", "dark")
HOSTILE = (
    '<script>alert("hurt")</script><img src=x onerror=alert(1)>',
    "x" * 300,
    "\u202eevil\u202d שלום",
    "a.b\"'>&c",
)


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Pages by name: of a run, of one with hostile names, of two runs."""
    folder = tmp_path_factory.mktemp("pages")
    layers = (*report().layers, *(layer(name, side(8, 16), side(8, 8)) for name in HOSTILE))
    groups = (*report().groups, *(group(name, 16, least=name) for name in HOSTILE))
    family = tuple(
        replace(point, widths=(*point.widths, *[8] * len(HOSTILE))) for point in report().curves.family
    )  # fmt: skip
    hurt = report(layers=layers, groups=groups, curves=replace(report().curves, family=family))
    told = run_of(model=HOSTILE[0], command=f"padless prune {HOSTILE[0]}", notes=HOSTILE)
    runs = [Compared(name=name, summary=run_of(), report=report()) for name in ("a", HOSTILE[0])]
    pages = {"run": page(run_of(), report()), "hostile": page(told, hurt), "runs": comparison(runs)}
    for name, html in pages.items():
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in pages}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["run", "hostile", "runs"])
def test_pages_are_quiet_and_fit(chromium, files, name, width, scheme):
    with opened(chromium, files[name], width=width, scheme=scheme) as shown:
        assert (shown.messages, shown.requests, shown.overflow) == ([], [], 0)
        for folded in shown.page.locator("summary").all():
            folded.click()
        assert shown.overflow == 0


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["run", "hostile", "runs"])
def test_axe_finds_nothing(chromium, files, name, scheme):
    with opened(chromium, files[name], scheme=scheme, bypass_csp=True) as shown:
        for folded in shown.page.locator("summary").all():
            folded.click()
        assert faults(shown) == []


def test_detectors_see_planted_faults(chromium, files, tmp_path):
    """An overflow, an error, a request to another machine, a script of someone else, an image without a name."""
    clean = files["run"].read_text()

    def planted(what: str, *, policy: bool = False, **options):
        html = clean.replace("</main>", f"{what}</main>")
        if not policy:
            html = html.replace("Content-Security-Policy", "x-none")
        (tmp_path / "p.html").write_text(html)
        return opened(chromium, tmp_path / "p.html", **options)

    with planted('<div style="width:3000px">wide</div>') as shown:
        assert shown.overflow > 1000
    with planted("<script>throw new Error('planted')</script>") as shown:
        assert any("planted" in message for message in shown.messages)
    with planted('<img alt="x" src="https://example.com/x.png">') as shown:
        assert shown.requests == ["https://example.com/x.png"]
    with planted(
        '<img alt="x" src="https://example.com/x.png"><script>document.title = "hurt"</script>', policy=True
    ) as shown:
        assert shown.page.title() != "hurt" and len(shown.messages) == 2  # the policy forbids both
        assert all("Content Security Policy" in message for message in shown.messages)
    with planted(
        '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="><p style="color:#ccc">pale</p>', bypass_csp=True
    ) as shown:
        found = " ".join(faults(shown))
        assert "image-alt" in found and "color-contrast" in found


def test_hostile_names_do_no_harm(chromium, files):
    with opened(chromium, files["hostile"]) as shown:
        asked = []
        shown.page.on("dialog", lambda dialog: asked.append(dialog.message))
        shown.page.get_by_role("button", name="layer", exact=True).click()
        assert asked == [] and shown.page.locator("img").count() == 0 and shown.page.locator("script").count() == 1
        assert HOSTILE[0] in shown.page.locator("h1").inner_text()
        assert "x" * 300 in shown.page.locator("td").all_inner_texts()


def test_headings_sort(chromium, files):
    with opened(chromium, files["run"]) as shown:
        table = shown.page.locator("table:has(#same)")

        def names() -> list[str]:
            return table.locator("tbody:not(#same) tr td:first-child").all_inner_texts()

        assert names() == ["stem", "body"]
        button = shown.page.get_by_role("button", name="cycles", exact=True)
        button.click()
        assert names() == ["body", "stem"]
        assert (
            shown.page.get_by_role("columnheader", name="cycles", exact=True).get_attribute("aria-sort") == "descending"
        )
        button.click()
        assert names() == ["stem", "body"]
        button.press("Enter")
        assert names() == ["body", "stem"]


def test_unchanged_layers_unfold(chromium, files):
    with opened(chromium, files["run"]) as shown:
        assert not shown.page.locator("#same tr").is_visible()
        shown.page.get_by_role("button", name="Show 1 layer that stayed as before").click()
        assert shown.page.locator("#same").get_by_role("cell", name="head", exact=True).is_visible()
        assert (
            shown.page.get_by_role("button", name="Hide 1 layer that stayed as before").get_attribute("aria-expanded")
            == "true"
        )


def test_tips_show_on_hover_and_focus_and_go(chromium, files):
    with opened(chromium, files["run"]) as shown:
        tip, row = shown.page.locator("#tip"), shown.page.locator("tr[data-tip]").first
        assert not tip.is_visible()
        row.hover()
        assert tip.is_visible() and tip.inner_text().startswith("stem: conv, units of 8 in, 8 out")
        shown.page.mouse.move(0, 0)
        assert not tip.is_visible()
        row.focus()
        shown.page.keyboard.press("Tab")
        assert tip.inner_text().startswith("body: conv")
        shown.page.keyboard.press("Escape")
        assert not tip.is_visible()


def test_a_row_is_one_tab_stop(chromium, files):
    with opened(chromium, files["run"]) as shown:
        assert shown.page.locator("tr[data-tip] [tabindex], tr[data-tip] button, tr[data-tip] a").count() == 0
        assert shown.page.locator("tr[data-tip][tabindex='0']").count() == 3
        assert shown.page.locator("svg[role=img]:not([aria-label])").count() == 0


def test_commands_and_widths_are_copied(chromium, files):
    with opened(chromium, files["run"]) as shown:
        for name, copied in (
            ("Copy: The command:", "padless prune mine"),
            ("Copy: The output channels", '{"stem": 8}'),
        ):
            shown.page.get_by_role("button", name=name).click()
            shown.page.wait_for_function(
                "async wanted => (await navigator.clipboard.readText()) === wanted", arg=copied
            )


def test_without_its_script_all_is_there(chromium, files):
    with opened(chromium, files["run"], java_script_enabled=False) as shown:
        assert shown.page.locator("#same tr").is_visible()
        assert shown.page.locator("button:visible").count() == shown.page.locator("th button").count()


def test_it_prints(chromium, files, tmp_path):
    with opened(chromium, files["run"], scheme="dark") as shown:
        shown.page.emulate_media(media="print")
        assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not shown.page.get_by_role("button", name="Copy: The command:").is_visible()
        shown.page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    assert (tmp_path / "page.pdf").read_bytes()[:5] == b"%PDF-"


def test_a_thousand_layers_stay_usable(chromium, tmp_path):
    (tmp_path / "deep.html").write_text(page(summary(), deep(1000)))
    with opened(chromium, tmp_path / "deep.html") as shown:
        shown.page.get_by_role("button", name="cycles", exact=True).click()
        assert shown.page.locator("tbody tr").first.is_visible() and shown.messages == []
