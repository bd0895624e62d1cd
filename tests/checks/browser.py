"""A real browser on a page: what it says, asks for and overflows, and whether axe finds fault with it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Opened:
    """A page in the browser, and what was seen of it."""

    page: Any
    messages: list[str] = field(default_factory=list)  # errors and warnings of its console
    requests: list[str] = field(default_factory=list)  # that left the machine's files

    @property
    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@contextmanager
def browser() -> Iterator[Any]:
    """Debian's Chromium; skips where there is none, or no Playwright to drive it."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (dependency group dev)")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@contextmanager
def opened(chromium: Any, file: Path, *, width: int = 1200, scheme: str = "light", **options: Any) -> Iterator[Opened]:
    """A file in a window of its own, without network."""
    context = chromium.new_context(
        offline=True, color_scheme=scheme, viewport={"width": width, "height": 900},
        permissions=["clipboard-read", "clipboard-write"], **options,
    )  # fmt: skip
    shown = Opened(context.new_page())
    shown.page.on("console", lambda message: shown.messages.append(f"{message.type}: {message.text}"))
    shown.page.on("pageerror", lambda error: shown.messages.append(f"error: {error}"))
    shown.page.on(
        "request", lambda request: None if request.url == file.as_uri() else shown.requests.append(request.url)
    )
    shown.page.goto(file.as_uri())
    yield shown
    context.close()


def faults(shown: Opened, within: str | None = None, **options: Any) -> list[str]:
    """What axe-core finds, by rule and place, in all of the page or in one element; `options` are axe's own.

    The page's policy must be bypassed: axe is a script.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    results = axe.Axe().run(shown.page, within, options).response
    return [
        f"{violation['id']}: {node['html'][:120]}" for violation in results["violations"] for node in violation["nodes"]
    ]
