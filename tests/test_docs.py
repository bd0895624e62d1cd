"""The pages under docs/ tell the truth."""

import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_operators_is_not_stale():
    script = runpy.run_path(str(DOCS / "supported_operators.py"))
    assert script["PAGE"].read_text() == script["page"](), "run: python docs/supported_operators.py"


def test_the_example_of_a_rule_runs():
    code = re.search(r"```python\n(.*?)```", (DOCS / "custom-operators.md").read_text(), re.DOTALL)
    exec(compile(code[1], "custom-operators.md", "exec"), {"__name__": "example"})


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target
