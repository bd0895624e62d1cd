"""What the package offers, and what its README shows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import padless


def test_version():
    assert padless.__version__ == "0.1.0"


def test_public_names():
    assert padless.__all__ == [
        "Budget", "Choices", "Graph", "Images", "InfeasibleError", "NetworkCost", "PadlessError", "Plan", "Preprocess",
        "Recipe", "Recovery", "Summary", "Target", "Treated", "UsageError", "against", "as_images", "evaluate",
        "export", "finetune", "inspect", "load", "load_images", "load_model", "load_onnx", "load_target",
        "load_weights", "match", "open_oracle", "plan", "prune", "recover", "rule", "save", "sweep", "targets",
        "trace", "treat",
    ]  # fmt: skip
    assert all(getattr(padless, name).__doc__ for name in padless.__all__)
    assert set(padless.__all__) <= set(dir(padless))


def test_names_are_imported_from_where_type_checkers_see_them():
    tree = ast.parse(Path(padless.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {line.module: tuple(alias.name for alias in line.names) for line in block.body}
    assert seen == {f"padless.{module}": names for module, names in padless._FROM.items()}
    assert sorted(padless._HOMES) == sorted(padless.__all__)


@pytest.mark.parametrize(
    "program",
    ["import padless.recover; print(padless.recover.__name__, padless.cost.Oracle.__name__)",
     "from padless.recover import reestimate_batchnorm; import padless; print(padless.recover.__name__, 'Oracle')",
     "from padless import recover, cost; print(recover.__name__, cost.Oracle.__name__)"],
)  # fmt: skip
def test_a_verb_that_is_called_as_its_room_is_the_verb(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "recover Oracle\n", done.stderr


def test_what_is_no_name():
    for name in ("plans", "__wrapped__", "_private"):
        with pytest.raises(AttributeError, match=f"module 'padless' has no attribute '{name}'"):
            getattr(padless, name)


def test_a_part_that_cannot_be_imported_says_what_is_missing(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(padless, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match="No module named 'torch'"):
        padless.__getattr__("reproduction")


def test_readmes_python_block_runs(tmp_path, monkeypatch):
    """The README's example, to its end: a network that works."""
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    block = re.search(r"```python\n(.*?)```", readme, re.S)
    assert block and len(block[1].strip().splitlines()) <= 16
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block[1], "README.md", "exec"), names)
    assert (tmp_path / "runs" / "small" / "plan.json").exists()
    assert padless.evaluate(names["small"], names["images"]) > 95
