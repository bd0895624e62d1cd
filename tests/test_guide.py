"""The pages for a first reading: their code runs, and prints what they say."""

import contextlib
import io
import re
from pathlib import Path

from models.layers import layer

from padless import load_target
from padless.cost import padding
from padless.hardware import round_up

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_how_it_works_prints_what_it_says():
    """Every block of output is what the Python block before it prints; all blocks share their names."""
    page = (DOCS / "how-it-works.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", page, re.DOTALL)
    assert len(blocks) == page.count("```python") and sum(bool(text) for _, text in blocks) == page.count("```text")
    names: dict = {"__name__": "example"}
    for code, text in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "how-it-works.md", "exec"), names)
        assert printed.getvalue() == text
    assert names["plan"].outcomes[0].asked // 1 == 38_017
    stem, inner = 32, 64  # the next wider choice: 9 x (16 x 32 + 2 x 32 x 64) cycles, and 2 of the classes
    assert 9 * (16 * stem + 2 * stem * inner) + stem * 16 // 256 == 41_474


def test_the_glossarys_layer_is_what_it_says():
    text = " ".join((DOCS / "glossary.md").read_text().split())
    target = load_target("gemmini-16")
    cost = padding(layer(40, 100), target)
    assert (target.active.input_unit, target.active.output_unit, target.active.macs_per_cycle) == (16, 16, 256)
    assert cost.padded_macs == 256 * 9 * 48 * 112 and f"{cost.padded_macs // 256:,} cycles for our layer" in text
    assert f"1 - 40 · 100 / (48 · 112) = {cost.wasted_macs_percent:.1f} %" in text
    weights, activations = cost.wasted_weight_percent, cost.wasted_activation_percent
    assert f"{weights:.1f} % of the weights and {activations:.1f} % of the activations" in text
    ethos = load_target("ethos-u55-256")
    assert (ethos.active.output_unit, ethos.block, round_up(40, 8), round_up(40, 16)) == (8, 16, 40, 48)


def test_the_glossarys_network_is_that_of_how_it_works():
    text, page = (" ".join((DOCS / name).read_text().split()) for name in ("glossary.md", "how-it-works.md"))
    assert "inner [16, 32, 48, 64]" in page and "has 4 levels: 16, 32, 48, 64." in text
    assert "stem: 40 channels; stem out, inner in, outer out, classes in" in page
    assert "one group of 40 channels lies in 4 places: the outputs of two layers and the inputs of two others" in text
    assert "30.4 % unnecessary, 24.2 % avoidable" in page
    assert "wastes 30.4 % of its multiplications, and 24.2 % are avoidable" in text
    assert "81% of the importance kept gap 0%" in page and "keeps 81 % of" in text and "it is 0 %" in text


def test_the_glossarys_measurements_are_those_of_the_page():
    text, page = (" ".join((DOCS / name).read_text().split()) for name in ("glossary.md", "measurements.md"))
    assert "| cifar10/vgg16_bn | ethos-u55-256 | 13,552,858 | 2,606,970 |" in page
    assert "takes 13,552,858 cycles on Ethos-U55-256 by Arm's compiler, and only 2,606,970 NPU" in text
    for priced, ratios in (("Vela, whole network", "4.55 to 5.94"), ("Vela, sum over layers", "2.03 to 2.65")):
        assert re.search(rf"\| efficientnet_b0 \| {priced} \|[^|]*\|[^|]*\| {ratios} \|", page) and ratios in text


def test_links_at_the_root_lead_somewhere():
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
            assert link.startswith("https://") or (ROOT / link).exists(), (page, link)


def test_the_readme_is_a_page():
    assert len((ROOT / "README.md").read_text().split()) <= 900


def test_contributing_names_every_room():
    block = re.search(r"## The rooms.*?```\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    named = {name for line in block[1].splitlines() for name in re.split(r"\s{2,}", line)[0].split()}
    rooms = {path.parent.name for path in (ROOT / "padless").glob("*/__init__.py")}
    assert rooms <= named
