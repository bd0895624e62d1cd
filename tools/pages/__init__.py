"""The generators of the pages under `docs/` and of README's tables: `python -m tools.pages` writes them all.

Each also runs alone: `python -m tools.pages.results`. No figure is typed: they come from the catalogue, the rules'
docstrings and `benchmarks/results/`.
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
README, DOCS, RESULTS = ROOT / "README.md", ROOT / "docs", ROOT / "benchmarks" / "results"
IMAGES = DOCS / "images"
