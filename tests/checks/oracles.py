"""An oracle of another package, found by its entry point."""

from padless.cost import Answer, Source


def outside(target, argument):
    return lambda shapes: [
        Answer(source=Source(oracle="outside", device=f"{target.id} {argument}"), total=7, npu=7) for _ in shapes
    ]
