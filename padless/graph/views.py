"""Values that lie in the memory of others, or have nothing of them but their shape."""

from padless.graph.recording import Recording

VIEWS = frozenset(
    [
        "view",
        "_unsafe_view",
        "reshape",
        "squeeze",
        "unsqueeze",
        "flatten",
        "unflatten",
        "permute",
        "transpose",
        "t",
        "expand",
        "slice",
        "select",
        "split",
        "split_with_sizes",
        "chunk",
        "unsafe_chunk",
        "tensor_split",
        "unbind",
        "alias",
        "detach",
        "narrow",
        "diagonal",
        "unfold",
        "movedim",
        "view_as",
    ]
)  # of another tensor's memory


LIKE = frozenset(
    ["new_full", "new_zeros", "new_ones", "full_like", "zeros_like", "ones_like"]
)  # of constants, from a tensor's type and perhaps its shape


def roots(recording: Recording) -> dict[int, int]:
    """For each value that is a view of another one, or what was written into it, the tensor whose memory that is."""
    found: dict[int, int] = {}
    for op in recording.ops:
        name = op.name.removeprefix("aten.")
        if op.reads and (name.endswith("_") or name in VIEWS):
            found |= dict.fromkeys(op.outputs, found.get(op.reads[0], op.reads[0]))
    return found
