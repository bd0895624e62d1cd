"""The pages under docs/ tell the truth."""

import importlib.util
import json
import re
import tomllib
import warnings

import pytest
from models.layers import layer

from padless import load_target, targets
from padless.cost import CachedOracle
from padless.hardware.target import CATALOGUE
from padless.inputs.zoo import import_torchvision
from padless.onnx.operators import OPERATORS
from tools.pages import DOCS, choices, hardware, lossless, onnx_operators, operators, recovered, results, treated


def test_the_page_of_operators_is_not_stale():
    assert operators.PAGE.read_text() == operators.page(), "run: python -m tools.pages.operators"


def test_the_page_of_onnx_operators_is_not_stale_and_has_all():
    said = onnx_operators.PAGE.read_text()
    assert said == onnx_operators.page(), "run: python -m tools.pages.onnx_operators"
    assert all(f"`{name}`" in said for name in OPERATORS)


@pytest.mark.parametrize("name", ["targets.md", "target.schema.json", "measurements.md"])
def test_the_pages_of_hardware_are_not_stale(name):
    assert (DOCS / name).read_text() == hardware.PAGES[name](), "run: python -m tools.pages.hardware"


def test_the_page_of_choices_is_not_stale():
    assert choices.PAGE.read_text() == choices.page(), "run: python -m tools.pages.choices"


def test_the_readmes_results_are_not_stale():
    assert results.README.read_text() == results.readme(), "run: python -m tools.pages.results"


@pytest.mark.parametrize(
    "generator", [lossless, recovered, results, treated], ids=["lossless", "recovered", "results", "treated"]
)
def test_the_pages_of_trainings_are_not_stale(generator):
    assert generator.PAGE.read_text() == generator.page(), f"run: python -m {generator.__name__}"


def test_the_readme_counts_the_targets():
    assert f"the {len(targets())} NPUs it knows" in (DOCS.parent / "README.md").read_text()


def test_the_schema_describes_the_catalogue():
    """Every file of the catalogue has only what the published schema names."""
    schema = json.loads((DOCS / "target.schema.json").read_text())
    for path in CATALOGUE.glob("*.toml"):
        data = tomllib.loads(path.read_text())
        assert set(data) <= set(schema["properties"])
        assert set(schema["required"]) <= set(data)
        for system in data.get("system", {}).values():
            assert set(system) <= set(schema["$defs"]["System"]["properties"])


def test_the_example_of_an_oracle_runs():
    function, package = re.findall(r"```python\n(.*?)```", (DOCS / "oracles.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(compile(function, "oracles.md", "exec"), names)
    assert names["plan"].after["oracle"] == "board, a sum over layers"
    exec(compile(package, "oracles.md", "exec"), names)
    oracle = names["board"](load_target("unit:16"), "400MHz")
    (answer,) = CachedOracle(oracle)([layer(10, 20, kernel=1, hw=10)])
    assert (answer.total, str(answer.source)) == (100 * 10 * 20 // 2, "board 1, 400MHz")


def test_the_example_of_a_rule_runs():
    code = re.search(r"```python\n(.*?)```", (DOCS / "custom-operators.md").read_text(), re.DOTALL)
    names: dict = {"__name__": "example"}
    exec(compile(code[1], "custom-operators.md", "exec"), names)
    assert names["small"][0].out_channels == 16


def test_the_example_of_a_criterion_runs(capsys):
    code = re.search(r"```python\n(.*?)```", (DOCS / "choosing.md").read_text(), re.DOTALL)
    exec(compile(code[1], "choosing.md", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.split() == ["spread", "optimal", "32"]


def test_the_example_of_branches_runs(capsys):
    pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")
    code = re.findall(r"```python\n(.*?)```", (DOCS / "choosing.md").read_text(), re.DOTALL)[1]
    names: dict = {"__name__": "example"}
    exec(compile(code, "choosing.md", "exec"), names)
    assert "conv1" in capsys.readouterr().out
    assert sum(p.numel() for p in names["small"].parameters()) < sum(p.numel() for p in names["model"].parameters())


def test_the_example_of_a_comparison_runs(capsys):
    code = re.search(r"```python\n(.*?)```", (DOCS / "comparing.md").read_text(), re.DOTALL)
    names: dict = {"__name__": "example"}
    exec(compile(code[1], "comparing.md", "exec"), names)
    theirs, plan = names["theirs"], names["plan"]
    assert capsys.readouterr().out.startswith("macs=50%: at most ")
    assert 0.95 * theirs.asked < theirs.reached <= theirs.asked
    assert plan.after["macs"] <= theirs.reached and names["ours"](names["example"]).shape == (1, 10, 10, 10)


def test_the_example_of_a_part_runs(capsys):
    import_torchvision()
    names: dict = {"__name__": "example"}
    for code in re.findall(r"```python\n(.*?)```", (DOCS / "parts-of-networks.md").read_text(), re.DOTALL):
        with warnings.catch_warnings(action="ignore"):
            exec(compile(code, "parts-of-networks.md", "exec"), names)
    assert capsys.readouterr().out.splitlines() == ["50% of the MACs, 0.0 % avoidable", "['boxes', 'labels', 'scores']"]
    sizes = [sum(p.numel() for p in part.parameters()) for part in (names["small"], names["core"])]
    assert sizes[0] < sizes[1]


def test_the_treatment_of_the_page_on_weights_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", (DOCS / "weights.md").read_text(), re.DOTALL)
    exec(compile(code[1], "weights.md", "exec"), {"__name__": "example"})
    assert "9 layers, divergence from dense 0." in capsys.readouterr().out
    assert (tmp_path / "runs" / "treated" / "model.safetensors").exists()


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_loops_of_ones_own_run(tmp_path, monkeypatch):
    """Those whose packages are there; Lightning and transformers are not among padless's own."""
    monkeypatch.chdir(tmp_path)
    import_torchvision()  # which they import, and which may not load by itself
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", (DOCS / "finetuning.md").read_text(), re.DOTALL):
        package = re.match(r"import (\w+)", code)[1]
        if importlib.util.find_spec(package):
            with warnings.catch_warnings(action="ignore"):
                exec(compile(code, "finetuning.md", "exec"), names)
    assert (tmp_path / "runs" / "mine" / "plan.json").exists()


def test_an_answer_needs_three_seeds_and_the_tolerance():
    def rows(method, size, *behind):
        return [{"network": "n", "epochs": 1, "method": method, "size": size, "seed": seed, "cycles_percent": 100.0 - size,
                 "held_out": None if lost is None else 90.0 - lost} for seed, lost in enumerate(behind)]  # fmt: skip

    measured = [
        *rows("continued", 0, 0, 0, 0), *rows("general", 10, 0.3, 0.0, 0.0), *rows("general", 20, 0.2, 0.1, 0.1),
        *rows("padless at cycles", 50, 0.0, 0.0, 0.0), *rows("padless at cycles", 60, -1.0, -1.0),
        *rows("grid alone at cycles", 50, 0.0, 0.0, None),
    ]  # fmt: skip
    assert lossless.answer(measured, "n", 0.11) == (
        "**The answer so far**, n with 3 seeds. Without loss go 10 % of the channels by `general`, "
        "50 % of the cycles by `padless` (50.0 % are left).\n\n"
    )
    assert lossless.answer(measured[:6], "n", 0.05) == ""
