"""The order of the rooms: each imports only from those before it, also within functions and for types alone."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import padless

ORDER = [
    "errors", "files", "progress", "notebook", "batches", "calls", "pool", "optimise", "graph", "hardware", "moments", "treat", "tflite",
    "onnx", "inputs", "importance", "cut", "align", "cost", "deploy", "choose", "report", "recover", "train", "runs", "sweep", "__init__", "demo",
    "reproduction", "cli", "__main__",
]  # fmt: skip
PACKAGE = Path(padless.__file__).parent
SOURCES = {str(path.relative_to(PACKAGE)): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


def room_of(parts: list[str]) -> str:
    """The room of a dotted path inside the package; what is no room stands in the package's own `__init__`."""
    return parts[0] if parts and parts[0] in ORDER else "__init__"


def imports(file: str, source: str) -> Iterator[tuple[int, str]]:
    """The line of each import of another room, and that room."""
    here = Path(file).with_suffix("").parts
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            paths = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ["padless", *here[: len(here) - node.level]] if node.level else []
            base += node.module.split(".") if node.module else []
            paths = [[*base, alias.name] for alias in node.names]
        else:
            continue
        rooms = {room_of(path[1:]) for path in paths if path[0] == "padless"}
        yield from ((node.lineno, room) for room in sorted(rooms - {here[0]}))


def upward(sources: Mapping[str, str]) -> list[str]:
    """Every import of a room that does not come before the file's own."""
    return [
        f"{file}:{line} imports {room}"
        for file, source in sources.items()
        for line, room in imports(file, source)
        if ORDER.index(room) >= ORDER.index(Path(file).with_suffix("").parts[0])
    ]


def circle(sources: Mapping[str, str]) -> list[str]:
    """Rooms that import one another in a circle; empty where none do."""
    arrows: dict[str, set[str]] = {}
    for file, source in sources.items():
        arrows.setdefault(Path(file).with_suffix("").parts[0], set()).update(room for _, room in imports(file, source))
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_each_room_imports_only_from_those_before_it():
    assert upward(SOURCES) == []


def test_no_rooms_import_one_another():
    assert circle(SOURCES) == []


def test_the_solver_imports_nothing_of_padless():
    assert [
        room for file, source in SOURCES.items() if file.startswith("optimise/") for room in imports(file, source)
    ] == []


def test_only_the_ground_lies_at_the_root():
    ground = {
        "errors.py",
        "files.py",
        "progress.py",
        "notebook.py",
        "batches.py",
        "calls.py",
        "demo.py",
        "__init__.py",
        "__main__.py",
    }
    assert {file for file in SOURCES if "/" not in file} == ground
    assert {file.split("/")[0] for file in SOURCES if "/" in file} <= set(ORDER)


@pytest.mark.parametrize(
    ("source", "room"),
    [
        ("from padless.choose.plan import Plan", "choose"),
        ("import padless.cost.padding", "cost"),
        ("from padless import train", "train"),
        ("from padless import prune", "__init__"),
        ("import padless", "__init__"),
        ("from ..runs import folder", "runs"),
        ("def late():\n    from padless.report import page", "report"),
        ("if TYPE_CHECKING:\n    from padless.align import levels", "align"),
    ],
)
def test_an_upward_import_is_seen(source, room):
    sources = {
        "cut/slice.py": f"from padless.graph import keep\nfrom padless.cut.reference import Reference\n{source}\n"
    }
    line = 3 + source.count("\n")
    assert upward(sources) == [f"cut/slice.py:{line} imports {room}"]
    assert circle(sources) == []


def test_a_circle_is_seen():
    sources = {
        "graph/keep.py": "from padless.cut import slice",
        "cut/slice.py": "def late():\n    from padless.hardware.target import Target",
        "hardware/target.py": "from ..graph import Layer",
        "errors.py": "import enum",
    }
    assert set(circle(sources)) == {"graph", "cut", "hardware"}
    assert circle({**sources, "hardware/target.py": ""}) == []
