"""What a report says of layers, as overlays for Model Explorer on the PyTorch program beside it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from padless.deploy.export import FORMATS
from padless.errors import UsageError
from padless.files import write_json
from padless.report.report import LayerReport, Report

PROGRAM = f"model{FORMATS['pt2']}"
GRAPH = "graph"  # what Model Explorer calls the graph of a PyTorch program; another name shows nothing, and no error
COLOURS = ({"stop": 0, "bgColor": "#f6f8fa"}, {"stop": 0.5, "bgColor": "#f0a860"}, {"stop": 1, "bgColor": "#d55e00"})
CALLS = ("conv", "linear", "addmm")

Value = Callable[[LayerReport], float | None]


def _removable(layer: LayerReport) -> float:
    side = layer.pruned
    return 100 * (side.padded_macs - side.floor_macs) / side.padded_macs if side.padded_macs else 0.0


OVERLAYS: Mapping[str, tuple[str, Value]] = {  # file -> what it is called, and a layer's number
    "model.time.json": ("time", lambda layer: layer.pruned.time),
    "model.padding.json": ("removable padding, % of MACs", _removable),
    "model.kept.json": ("output channels kept, %", lambda layer: 100 * layer.pruned.c_out / layer.dense.c_out),
}


def write_overlays(folder: Path) -> list[Path]:
    """Files that Model Explorer lays over `model.pt2`: time, removable padding, and the share of channels kept.

    Raises UsageError where the folder has no program or no report. A number that no oracle gave has no file.
    """
    report, program = Report.read(folder), folder / PROGRAM
    if not program.exists():
        raise UsageError(f"{folder} has no {PROGRAM} to lay numbers over. Add --format pt2.")
    nodes, written = _nodes(program), []
    for name, (title, value) in OVERLAYS.items():
        called = f"{'cycles' if report.unit == 'cycles' else 'nanoseconds'}" if title == "time" else title
        numbers = {layer.name: number for layer in report.layers if (number := value(layer)) is not None}
        results = {node: {"value": round(numbers[layer], 4)} for node, layer in nodes.items() if layer in numbers}
        if results:
            content = {GRAPH: {"name": f"padless: {called}", "results": results, "gradient": list(COLOURS)}}
            write_json(folder / name, content)
            written.append(folder / name)
    return written


def _nodes(program: Path) -> dict[str, str]:
    """Each node of a saved program that is a layer, and the layer's name: the path of its module, "@2" for a second call."""
    nodes: dict[str, str] = {}
    calls: dict[str, int] = {}
    for node in torch.export.load(program).graph.nodes:
        stack = node.meta.get("nn_module_stack")
        if node.op == "call_function" and stack and any(part in str(node.target) for part in CALLS):
            path = str(list(stack.values())[-1][0])
            calls[path] = calls.get(path, 0) + 1
            nodes[node.name] = path if calls[path] == 1 else f"{path}@{calls[path]}"
    return nodes
