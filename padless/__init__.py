"""padless: prune convolutional networks so that their channels fill the NPU's compute units."""

__version__ = "0.1.0"

from padless.api import inspect, plan
from padless.choose import Budget, Plan
from padless.cost import Answer, Cost, Cycles, NetworkCost, Source
from padless.cost.oracles import open_oracle
from padless.cut import prune
from padless.deploy import export, load, save
from padless.errors import PadlessError
from padless.graph import ChannelGroup, Graph, Layer, LayerShape, rule, trace
from padless.hardware import Target, load_target, targets
from padless.inputs import Images, load_images, load_model, load_weights
from padless.recover import Recovery, evaluate, finetune, recover, reestimate_batchnorm

__all__ = [
    "Answer", "Budget", "ChannelGroup", "Cost", "Cycles", "Graph", "Images", "Layer", "LayerShape", "NetworkCost",
    "PadlessError", "Plan", "Recovery", "Source", "Target", "evaluate", "export", "finetune", "inspect", "load",
    "load_images", "load_model", "load_target", "load_weights", "open_oracle", "plan", "prune", "recover",
    "reestimate_batchnorm", "rule", "save", "targets", "trace",
]  # fmt: skip
