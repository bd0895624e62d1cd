"""Build the site into site/; with --stage only gather its sources in build/site."""

import argparse
import shutil
import sys
import time

from tools.site import ROOT
from tools.site.build import BuildError, build
from tools.site.stage import stage


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.site", description=__doc__)
    parser.add_argument("--stage", action="store_true", help="stop before Zensical: the sources are in build/site")
    parser.add_argument("--quick", action="store_true", help="leave notebooks without their outputs")
    args = parser.parse_args()
    started, work, site = time.monotonic(), ROOT / "build" / "site", ROOT / "site"
    stage(work, execute=not args.quick)
    if args.stage:
        return 0
    try:
        built = build(work)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    shutil.rmtree(site, ignore_errors=True)
    shutil.move(built, site)
    pages, seconds = sum(1 for _ in site.rglob("*.html")), time.monotonic() - started
    print(f"{site / 'index.html'}: {pages} pages in {seconds:.0f} s. All links and anchors lead somewhere.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
