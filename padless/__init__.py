"""padless: prune convolutional networks so that their channels fill the NPU's compute units."""

__version__ = "0.1.0"

from padless.choose import Budget, Plan
from padless.choose.planning import plan
from padless.choose.replay import prune
from padless.cost import Answer, Cost, Cycles, NetworkCost, Source
from padless.cost.oracles import open_oracle
from padless.cost.pricing import inspect
from padless.deploy import Int8, export
from padless.errors import PadlessError
from padless.graph import ChannelGroup, Graph, Layer, LayerShape, rule, trace
from padless.hardware import Target, load_target, targets
from padless.inputs import Images, as_images, load_images, load_model, load_weights
from padless.recover import Recovery, recover, reestimate_batchnorm
from padless.runs.folder import load, save
from padless.train import Checkpoints, History, Recipe, evaluate, finetune, make_fabric

__all__ = [
    "Answer", "Budget", "ChannelGroup", "Checkpoints", "Cost", "Cycles", "Graph", "History", "Images", "Int8", "Layer",
    "LayerShape", "NetworkCost", "PadlessError", "Plan", "Recipe", "Recovery", "Source", "Target", "as_images", "evaluate",
    "export", "finetune", "inspect", "load", "load_images", "load_model", "load_target", "load_weights", "make_fabric",
    "open_oracle", "plan", "prune", "recover", "reestimate_batchnorm", "rule", "save", "targets", "trace",
]  # fmt: skip
