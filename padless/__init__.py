"""padless: prune convolutional networks so that their channels fill the NPU's compute units."""

__version__ = "0.1.0"

from padless.choose import Budget, Choices, Plan
from padless.choose.planning import plan
from padless.choose.replay import prune
from padless.cost import NetworkCost
from padless.cost.oracles import open_oracle
from padless.cost.pricing import inspect
from padless.deploy import export
from padless.errors import InfeasibleError, PadlessError, UsageError
from padless.graph import Graph, rule, trace
from padless.hardware import Target, load_target, targets
from padless.inputs import Images, Preprocess, as_images, load_images, load_model, load_weights
from padless.onnx import load_onnx
from padless.recover import Recovery, recover
from padless.report.summary import Summary
from padless.runs.folder import load, save
from padless.train import Recipe, against, evaluate, finetune

__all__ = [
    "Budget", "Choices", "Graph", "Images", "InfeasibleError", "NetworkCost", "PadlessError", "Plan", "Preprocess", "Recipe",
    "Recovery", "Summary", "Target", "UsageError", "against", "as_images", "evaluate", "export", "finetune", "inspect",
    "load", "load_images", "load_model", "load_onnx", "load_target", "load_weights", "open_oracle", "plan", "prune",
    "recover", "rule", "save", "targets", "trace",
]  # fmt: skip
