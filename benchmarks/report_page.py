"""How long a browser takes to open the page of a network of 1,000 layers, and to sort it.

    python benchmarks/report_page.py [OTHER.html ...]

A network of 500 residual blocks of two convolutions is pruned on ethos-u55-256, priced in closed form, and its page is
opened in Debian's chromium, offline: five times after one that warms up, the median counts. A page is open when its load
event is over and two frames are drawn. Other pages are opened in turn with it, such as one that an older padless wrote of
the same network:

    padless prune benchmarks.report_page:deep --target ethos-u55-256 --oracle ceil --budget cycles=60%
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from torch import Tensor, nn

BLOCKS, WIDTH = 500, 32
RUNS = 5
DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
SORT = 'th:has-text("cycles") button'


class Block(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x).relu())


class Deep(nn.Sequential):
    """1,002 layers."""

    input_shape = (1, 3, 8, 8)

    def __init__(self) -> None:
        ends = nn.Conv2d(3, WIDTH, 3, padding=1), nn.Linear(WIDTH, 10)
        pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        super().__init__(ends[0], *(Block() for _ in range(BLOCKS)), *pooled, ends[1])


def deep() -> nn.Module:
    """What MODEL names."""
    return Deep()


def opening(browser: Any, file: Path) -> tuple[float, float | None]:
    """Seconds until a page is drawn, and until it is sorted by cycles, where it can be."""
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    started = time.perf_counter()
    page.goto(file.resolve().as_uri(), wait_until="load")
    page.evaluate(DRAWN)
    drawn, sorted_in = time.perf_counter() - started, None
    if page.locator(SORT).count():
        started = time.perf_counter()
        page.locator(SORT).last.click()
        page.evaluate(DRAWN)
        sorted_in = time.perf_counter() - started
    context.close()
    return drawn, sorted_in


def main() -> None:
    from common import write  # padless imports this file from elsewhere
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Skipped: no chromium on this machine.")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        ask = ("benchmarks.report_page:deep", "--target", "ethos-u55-256", "--oracle", "ceil", "--budget", "cycles=60%")
        command = [sys.executable, "-m", "padless", "prune", *ask, "--out", f"{folder}/run"]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        print(f"Pruned in {time.perf_counter() - started:.0f} s")
        files = {"report.html": Path(folder) / "run" / "report.html", **{name: Path(name) for name in sys.argv[1:]}}
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        taken = {name: [] for name in files}
        for turn in range(RUNS + 1):
            for name, file in files.items():
                seconds = opening(browser, file)
                if turn:
                    taken[name].append(seconds)
        rows = []
        for name, seconds in taken.items():
            drawn = [each for each, _ in seconds]
            again = [each for _, each in seconds if each is not None]
            sorted_in = f", sorted in {median(again):.2f} s" if again else ""
            spread = f"{min(drawn):.2f} to {max(drawn):.2f}"
            rows.append({"page": Path(name).name, "bytes": files[name].stat().st_size, "opened_seconds": drawn,
                         "median_seconds": median(drawn), "sorted_seconds": median(again) if again else None})  # fmt: skip
            print(
                f"{name}: {files[name].stat().st_size:,} bytes, opened in {median(drawn):.2f} s ({spread}){sorted_in}"
            )
        browser.close()
        if len(rows) > 1:
            print(f"{rows[0]['median_seconds'] / rows[1]['median_seconds']:.2f} times the seconds of {rows[1]['page']}")
    # An older page is named by its file alone.
    sys.argv[1:] = [Path(name).name for name in sys.argv[1:]]
    write("report_page", rows)


if __name__ == "__main__":
    main()
