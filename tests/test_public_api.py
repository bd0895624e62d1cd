"""What the package offers, and what its README shows."""

import re
from pathlib import Path

import padless


def test_version():
    assert padless.__version__ == "0.1.0"


def test_public_names():
    assert padless.__all__ == [
        "Budget", "Choices", "Graph", "Images", "InfeasibleError", "NetworkCost", "PadlessError", "Plan", "Preprocess", "Recipe",
        "Recovery", "Summary", "Target", "UsageError", "against", "as_images", "evaluate", "export", "finetune", "inspect",
        "load", "load_images", "load_model", "load_onnx", "load_target", "load_weights", "open_oracle", "plan", "prune",
        "recover", "rule", "save", "targets", "trace",
    ]  # fmt: skip
    assert all(getattr(padless, name).__doc__ for name in padless.__all__)


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
