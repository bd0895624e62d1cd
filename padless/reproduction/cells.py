"""What a worker does with a cell of the reproduction. It keeps the network and the images of the last one."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from padless.inputs import Images, load_images, load_model, load_weights
from padless.reproduction.measure import measured
from padless.reproduction.peers import PeerError
from padless.reproduction.protocol import Cell, Protocol
from padless.reproduction.subject import Subject

_subjects: dict[tuple[str, str, str, int, int, str], Subject] = {}


def do_cell(
    cell: Mapping[str, Any], protocol: Mapping[str, Any], data: str, weights: str, scratch: str
) -> dict[str, Any]:
    """A cell's {"row": what was measured}; {"left_out": why} where another tool fails. `weights` are the dense network's."""
    asked, how = Cell(**cell), protocol_of(protocol)
    key = (asked.network, weights, data, how.images, how.test_images, how.target)
    if key not in _subjects:
        close_subjects()
        torch.manual_seed(0)
        loaded = load_model(f"cifar10/{asked.network}")
        load_weights(loaded.model, Path(weights))
        _subjects[key] = Subject(loaded, some(images_at(data, asked.network), how.images, how.test_images), how.target)
    try:
        return {"row": measured(_subjects[key], asked, how, Path(scratch))}
    except PeerError as error:
        return {"left_out": str(error)}


def close_subjects() -> None:
    """End what networks' prices come from."""
    for subject in _subjects.values():
        subject.__exit__()
    _subjects.clear()


def protocol_of(said: Mapping[str, Any]) -> Protocol:
    """A protocol from JSON."""
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
    return Protocol(**fields)


@lru_cache(1)
def images_at(data: str, network: str) -> Images:
    """All images of `data`, as a network in its CIFAR form takes them."""
    form = load_model(f"cifar10/{network}")
    return load_images(data, shape=form.input_shape[1:], preprocess=form.preprocess)


def some(images: Images, train: int, test: int) -> Images:
    """At most so many images of each set (0: all), the same ones every time."""

    def chosen(count: int, of: int) -> torch.Tensor:
        order = torch.randperm(of, generator=torch.Generator().manual_seed(0))
        return order[: count or of].sort().values

    kept, tested = chosen(train, len(images.train)), chosen(test, len(images.test))
    return images.part(kept, tested)
