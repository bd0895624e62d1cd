"""Record one run, give every channel an id, find the groups that must be cut together."""

from padless.graph.channels import ChannelIds
from padless.graph.groups import trace
from padless.graph.keep import Keep, kept_positions, narrowed, places
from padless.graph.rules import rule
from padless.graph.structure import (
    FIXED,
    ChannelGroup,
    Graph,
    Layer,
    LayerShape,
    Member,
    ParameterAxis,
    ValueAxis,
    channel_axis,
)

__all__ = [
    "FIXED",
    "ChannelGroup",
    "ChannelIds",
    "Graph",
    "Keep",
    "Layer",
    "LayerShape",
    "Member",
    "ParameterAxis",
    "ValueAxis",
    "channel_axis",
    "kept_positions",
    "narrowed",
    "places",
    "rule",
    "trace",
]
