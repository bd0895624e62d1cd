"""padless: prune convolutional networks so that their channels fill the NPU's compute units."""

__version__ = "0.1.0"

from padless.api import inspect, plan
from padless.choose import Budget, Plan
from padless.cost import Answer, Cost, Cycles, NetworkCost, Source
from padless.cost.oracles import open_oracle
from padless.cut import prune
from padless.deploy import Int8, export, load, save
from padless.errors import PadlessError
from padless.graph import ChannelGroup, Graph, Layer, LayerShape, rule, trace
from padless.hardware import Target, load_target, targets
from padless.inputs import Images, as_images, load_images, load_model, load_weights
from padless.recover import Recovery, recover, reestimate_batchnorm
from padless.train import Checkpoints, History, Recipe, evaluate, finetune, make_fabric

__all__ = [
    "Answer", "Budget", "ChannelGroup", "Checkpoints", "Cost", "Cycles", "Graph", "History", "Images", "Int8", "Layer",
    "LayerShape", "NetworkCost", "PadlessError", "Plan", "Recipe", "Recovery", "Source", "Target", "as_images", "evaluate",
    "export", "finetune", "inspect", "load", "load_images", "load_model", "load_target", "load_weights", "make_fabric",
    "open_oracle", "plan", "prune", "recover", "reestimate_batchnorm", "rule", "save", "targets", "trace",
]  # fmt: skip
