"""The documentation site is built strictly, and a link or an anchor that leads nowhere ends the build."""

import re

import pytest

import padless
from padless.cli.app import COMMANDS
from tools.site import ROOT, api
from tools.site.build import BuildError, build
from tools.site.links import faults
from tools.site.stage import places, turned

CONFIG = (ROOT / "mkdocs.yml").read_text()

PAGE = "# One\n\n[two](two.md), [its part](two.md#part)\n"
OTHER = "# Two\n\n## Part\n\n![a picture](dot.svg)\n"


def small(work, index=PAGE, other=OTHER):
    """A site of two pages, with the real site's settings."""
    (work / "docs").mkdir()
    (work / "docs" / "index.md").write_text(index)
    (work / "docs" / "two.md").write_text(other)
    (work / "docs" / "dot.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    settings = CONFIG.partition("nav:\n")[0].replace("extra_css:\n  - assets/site.css\n", "")
    settings = re.sub(r"\n  (logo|favicon): .*", "", settings)
    (work / "mkdocs.yml").write_text(f"{settings}nav: [index.md, two.md]\n")
    return work


def test_the_site_has_every_page(site):
    """Each Markdown file of docs/ and of the root that `places` names has its page, and stands in the navigation."""
    named = set(re.findall(r"([\w/-]+\.md)$", CONFIG, re.MULTILINE))
    written = {"cli.md", *(f"api/{name}" for name in api.pages())}
    assert named == written | {name for name in places().values() if name.endswith(".md")}
    for name in named:
        assert (site / name.removesuffix("index.md").removesuffix(".md") / "index.html").exists(), name


def test_commands_and_names_are_all_there(site):
    commands = (site / "cli" / "index.html").read_text()
    assert all(f'id="padless-{name}"' in commands for name in (*COMMANDS, "targets-check", "cache-import"))
    assert "--memory-mode" in commands and "<code>--budget TEXT</code>" in commands
    grouped = [name for _, _, names in api.GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(padless.__all__)
    shown = "".join("".join(page.read_text().split()) for page in (site / "api").rglob("*.html"))
    assert all(f'doc-heading">padless.{name}<' in shown for name in grouped)
    assert "#imagesastep,onalldevicestogether" in shown, "fields of data classes"


def test_a_small_site_builds(tmp_path):
    assert (build(small(tmp_path)) / "two" / "index.html").exists()


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (PAGE + "[nowhere](three.md)\n", "three.md"),
        (PAGE + "[no part](two.md#missing)\n", "two.md#missing"),
        (PAGE + "![no picture](none.png)\n", "none.png"),
        (PAGE + '<a href="../three/">as HTML</a>\n', r"leads to \.\./three/: no such file"),
        (PAGE + '<a href="two/#missing">as HTML</a>\n', "leads to two/#missing: no such anchor"),
        (PAGE + '<img src="https://example.org/x.png" alt="x">\n', "loads https://example.org/x.png"),
    ],
)
def test_a_planted_fault_ends_the_build(tmp_path, planted, said):
    with pytest.raises(BuildError, match=said):
        build(small(tmp_path, planted))


def test_links_of_a_site_are_followed(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="sub/#here">s</a> <a href="https://example.org">o</a> <a href="#top">t</a>'
    )
    (tmp_path / "sub" / "index.html").write_text('<h1 id="here">h</h1><a href="..">up</a><a href="/sub/">r</a>')
    assert faults(tmp_path) == ["index.html leads to #top: no such anchor"]


@pytest.mark.parametrize("path", [p for p, name in places().items() if name.endswith(".md")], ids=lambda p: p.name)
def test_lists_are_lists_here_and_on_github(path):
    """Python's Markdown wants a line before a list, and four spaces for what is within an item."""
    text = re.sub(r"\A---.*?^---$|^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^(?![-*|#\s]|\d+\.).*\S.*\n(?:[-*]|\d+\.) .*", text, re.MULTILINE) == []
    assert re.findall(r"^ {1,3}(?:[-*] |\d+\. |```).*", text, re.MULTILINE) == []


def test_a_page_may_only_link_to_what_the_site_has(tmp_path):
    path = ROOT / "docs" / "page.md"
    where = {ROOT / "SECURITY.md": "security.md", ROOT / "docs" / "notebooks" / "x.py": "notebooks/x.md"}
    text = "[s](../SECURITY.md#a) `[no](link)` [n](notebooks/x.py)\n\n```\n[as](it is)\n```\n"
    assert turned(text, path, "sub/page.md", where) == text.replace("../SECURITY.md", "../security.md").replace(
        "notebooks/x.py", "../notebooks/x.md"
    )
    with pytest.raises(FileNotFoundError, match=r"docs/page.md links to ../tests/conftest.py, which the site has not"):
        turned("[t](../tests/conftest.py)", path, "page.md", where)
