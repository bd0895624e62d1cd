"""Layers without a network around them."""

import numpy as np

from padless.graph.structure import Kind, Layer


def layer(
    c_in: int, c_out: int, kernel: int = 3, kind: Kind = "conv", groups: int = 1, hw: int = 16, **more: object
) -> Layer:
    """A layer on a square map that keeps its size."""
    usual = {"stride": (1, 1), "dilation": (1, 1)}
    return Layer(
        name="conv",
        weight="conv.weight",
        kind=kind,
        c_in=c_in,
        c_out=c_out,
        groups=groups,
        kernel=(kernel, kernel),
        in_hw=(hw, hw),
        out_hw=(hw, hw),
        inputs=np.arange(c_in),
        outputs=np.arange(c_in, c_in + c_out),
        **{**usual, **more},
    )
