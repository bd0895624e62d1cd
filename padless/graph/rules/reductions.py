"""Pools and reductions: channels pass beside the axes that are worked on."""

from padless.graph.channels import Channels
from padless.graph.recording import Op
from padless.graph.rules.registry import argument, rule, unknown


@rule("mean", "sum", "amax", "amin", "max", "min", "var", "var_mean", "std", "std_mean", "prod", "logsumexp",
      "linalg_vector_norm", "norm", "any", "all", "nansum", "count_nonzero")  # fmt: skip
def reduction(op: Op, channels: Channels) -> None:
    """Channels pass a reduction over other axes. One over channels is over those that are left."""
    x = op.args[0]
    ndim = len(channels.shape(x))
    names = [a.name for a in op.function._schema.arguments]
    if "other" in names:  # the greater of two tensors
        unknown(op, channels)
        return
    given = argument(op, "dim") if "dim" in names else None
    dims = range(ndim) if given is None or given == [] else [given] if isinstance(given, int) else given
    over = {d % ndim for d in dims}
    keep = "keepdim" in names and argument(op, "keepdim")
    axes = channels.of(x)
    place = {a: a if keep else a - sum(o < a for o in over) for a in axes}
    channels.put(op, {place[a]: ids for a, ids in axes.items() if a not in over})
    if over & set(axes):
        if op.name in ("aten.max", "aten.min") and len(op.outputs) > 1 and channels.is_read(op.outputs[1]):
            for axis in over & set(axes):
                channels.pin(axes[axis], f"{op.name} gives positions of channels")
        channels.gather(op)


@rule("_softmax", "_log_softmax", "softmax", "cumsum", "cumprod", "cummax", "cummin", "sort", "topk", "argmax", "argmin",
      "logcumsumexp", "median", "nanmedian", "kthvalue", "mode")  # fmt: skip
def along_one(op: Op, channels: Channels) -> None:
    """Works along one axis; channels on it stay, since each depends on all or on their order. Others pass."""
    x = op.args[0]
    ndim = len(channels.shape(x))
    named = any(a.name == "dim" for a in op.function._schema.arguments)
    dim = argument(op, "dim") if named else None
    axes = dict(channels.of(x))
    for axis in range(ndim) if dim is None else [dim % ndim]:
        if axis in axes:
            channels.pin(axes.pop(axis), f"{op.name} works along the channels")
    if len(channels.shape(op.outputs[0])) < ndim:
        axes = {a - (dim is not None and a > dim % ndim): ids for a, ids in axes.items()}
    channels.put(op, axes)


@rule("max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d",
      "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d", "lp_pool2d",
      "fractional_max_pool2d", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d",
      "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d",
      "upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d", "_upsample_bilinear2d_aa",
      "_upsample_bicubic2d_aa", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d",
      "replication_pad1d", "replication_pad2d", "replication_pad3d")  # fmt: skip
def pool(op: Op, channels: Channels) -> None:
    """Pools, resizes and mirrored padding work on rows and columns of each channel apart; channels pass through."""
    ndim = len(channels.shape(op.args[0]))
    spatial = 3 if "3d" in op.name else 1 if "1d" in op.name else 2
    axes = dict(channels.of(op.args[0]))
    for axis in range(ndim - spatial, ndim):
        if axis in axes:
            channels.pin(axes.pop(axis), f"{op.name} works along a channel axis")
    for out in op.outputs:
        channels.place(out, dict(axes))


@rule("rot90")
def rotate(op: Op, channels: Channels) -> None:
    """Turns rows and columns; channels on the axes that are turned stay."""
    axes = dict(channels.of(op.args[0]))
    for axis in {d % len(channels.shape(op.args[0])) for d in argument(op, "dims")} & set(axes):
        channels.pin(axes.pop(axis), f"{op.name} turns the channels")
    channels.put(op, axes)


@rule("grid_sampler_2d", "grid_sampler_3d")
def grid_sample(op: Op, channels: Channels) -> None:
    """Samples rows and columns of each channel apart; the grid stays."""
    axes = {axis: ids for axis, ids in channels.of(op.args[0]).items() if axis == 1}
    channels.pin_value(op.args[1], f"{op.name} reads positions")
    channels.put(op, axes)
