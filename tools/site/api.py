"""The pages of the Python interface: which public names stand on them, in the order of a day's work.

mkdocstrings shows each with its signature and docstring. A test holds that no public name is left out.
"""

import padless

GROUPS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "prune": (
        "Look, plan and cut",
        "From a network and an example input to a smaller network that is proven equal to the masked one.",
        ("trace", "inspect", "plan", "prune", "match", "Graph", "NetworkCost", "Budget", "Choices", "Plan"),
    ),
    "train": (
        "Recover, train and measure",
        "The accuracy back: in closed form, and by training with the dense network as the teacher.",
        ("recover", "Recovery", "treat", "Treated", "finetune", "Recipe", "evaluate", "against"),
    ),
    "inputs": (
        "Models, weights and images",
        "What a job starts from.",
        ("load_model", "load_onnx", "load_weights", "load_images", "as_images", "Images", "Preprocess"),
    ),
    "targets": (
        "Targets, oracles and rules",
        "The NPU, who counts its cycles, and operators of your own.",
        ("targets", "load_target", "Target", "open_oracle", "rule"),
    ),
    "write": (
        "Write, read and sweep",
        "The folder of a run, the file that is flashed, and many runs as one.",
        ("save", "load", "Summary", "export", "sweep"),
    ),
    "errors": (
        "Errors",
        "Every error that is meant for a person is one of these.",
        ("PadlessError", "UsageError", "InfeasibleError"),
    ),
}

INDEX = """\
# The Python interface

Everything here is imported as `padless.NAME`. Written from the docstrings, with all types. What only an author of
oracles or of training loops needs is in [oracles](../oracles.md) and [fine-tuning](../finetuning.md).

| page | names |
|---|---|
"""


def pages() -> dict[str, str]:
    """Markdown by file: a list of all names, and a page for each group."""
    rows = "".join(
        f"| [{title}]({file}.md) | {', '.join(f'[`{name}`]({file}.md#{_place(name)})' for name in names)} |\n"
        for file, (title, _, names) in GROUPS.items()
    )
    return {"index.md": INDEX + rows} | {
        f"{file}.md": f"# {title}\n\n{about}\n" + "".join(_entry(name) for name in names)
        for file, (title, about, names) in GROUPS.items()
    }


def _place(name: str) -> str:
    """Where a public name is defined: `padless.choose.planning.plan`. It is the entry's anchor, too."""
    thing = getattr(padless, name)
    return f"{thing.__module__}.{name}"


def _entry(name: str) -> str:
    heading = f"padless.{name}"
    return f"\n::: {_place(name)}\n    options:\n      heading: {heading}\n      toc_label: {name}\n"
