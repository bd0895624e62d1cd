"""The site in a real browser, served as a site is: quiet, without outside requests, no wider than its window."""

import functools
import http.server
import threading
from contextlib import contextmanager

import pytest
from checks.browser import Opened, browser, faults

PAGES = ("", "tutorials/keyword-spotting/", "cli/", "api/prune/", "notebooks/first_cut/", "errors/", "targets/")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address(site):
    """Of a server on this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@contextmanager
def opened(chromium, address, page, width=1200, scheme="light", **options):
    """A page, and what its console said and what it asked of others."""
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
    shown, seen = context.new_page(), []
    shown.on("console", lambda m: seen.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None)
    shown.on("pageerror", lambda error: seen.append(f"error: {error}"))
    shown.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else seen.append(r.url))
    context.route(lambda url: not url.startswith(address), lambda route: route.abort())
    shown.goto(address + page)
    shown.wait_for_function("document.readyState === 'complete'")
    yield shown, seen
    context.close()


def overflow(shown):
    return shown.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_pages_are_quiet_and_fit(chromium, address, width, scheme):
    for page in PAGES:
        with opened(chromium, address, page, width, scheme) as (shown, seen):
            assert (page, seen) == (page, [])
            assert overflow(shown) <= 0, page


def test_the_detectors_see_planted_faults(chromium, address):
    with opened(chromium, address, "errors/") as (shown, seen):
        shown.evaluate("document.querySelector('article').innerHTML += '<div style=\"width:3000px\">wide</div>'")
        shown.evaluate("document.querySelector('.md-content').style.overflow = 'visible'")
        assert overflow(shown) > 1000
        shown.evaluate("console.error('planted'); fetch('https://example.org/x').catch(() => 0)")
        shown.wait_for_timeout(200)
        assert "error: planted" in seen and "https://example.org/x" in seen


def test_dark_and_light_differ(chromium, address):
    colours = []
    for scheme in ("light", "dark"):
        with opened(chromium, address, "", scheme=scheme) as (shown, _):
            colours.append(shown.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1]


def test_search_finds(chromium, address):
    with opened(chromium, address, "", width=1440) as (shown, seen):
        shown.wait_for_load_state("networkidle")  # before, nobody may listen to the keys
        shown.keyboard.press("Control+k")
        shown.keyboard.type("depthwise unit", delay=20)
        shown.get_by_role("link", name="Glossary").or_(shown.get_by_text("depthwise").last).first.wait_for(
            timeout=10_000
        )
        assert seen == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_what_is_ours(chromium, address, scheme):
    """By WCAG AA, in the article; the frame around it is the theme's."""
    levels = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
    for page in ("", "tutorials/sram/"):
        with opened(chromium, address, page, scheme=scheme) as (shown, _):
            assert (page, faults(Opened(shown), "article", runOnly=levels)) == (page, [])
