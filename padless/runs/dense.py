"""The dense network that a job starts from, with its images, and what was found out about it: several jobs can share one."""

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from padless.choose import Budget, Choices
from padless.choose.planning import scored
from padless.choose.restrict import check_prunable
from padless.cost.pricing import Pricing
from padless.errors import UsageError
from padless.graph import trace
from padless.importance import Importance
from padless.inputs import (
    Images,
    LoadedModel,
    Preprocess,
    load_images,
    load_model,
    load_weights,
    parse_inputs,
    sample_shape,
    shapes_of,
)
from padless.onnx import OnnxNet, Reading
from padless.progress import console
from padless.train import against, evaluate

T = TypeVar("T")


class Dense:
    """A network and its images; its accuracy, calibration images and importance are worked out once."""

    def __init__(self, loaded: LoadedModel, images: Images | None) -> None:
        self.loaded, self.images = loaded, images
        self._known: dict[Hashable, object] = {}

    def accuracy(self) -> float:
        """In percent on the test set; without labels its agreement with itself."""
        assert self.images is not None
        images = self.images
        return self._once("accuracy", lambda: evaluate(self.loaded.model, images))

    def calibration(self, count: int, seed: int) -> list[Tensor]:
        """Shuffled training images, batch by batch; none without images."""
        images = self.images
        if images is None:
            return []
        return self._once(("calibration", count, seed), lambda: list(images.calibration(count, seed)))

    def importance(self, pricing: Pricing, choices: Choices, count: int, budgets: Sequence[Budget]) -> Importance:
        """The curves of the criterion that `choices` name, on `count` calibration images."""
        check_prunable(pricing.graph)
        images = self.calibration(count, choices.seed)
        outputs = None if choices.outputs is None else tuple(map(str, choices.outputs))
        key: tuple[Hashable, ...] = ("importance", str(choices.criterion(images)), count, choices.seed, outputs)
        if choices.treat:  # those that pay are weighed
            counted = tuple(budget.counted for budget in budgets)
            asked = pricing.oracle and pricing.oracle.oracle.key
            key = (*key, tuple(choices.treat), choices.allocate, counted, pricing.target.id, asked)
        return self._once(key, lambda: scored(pricing, choices, images, budgets))

    def changed(self) -> None:
        """Forget what was found out: the network was trained on."""
        self._known.clear()

    def _once(self, key: Hashable, work: Callable[[], T]) -> T:
        if key not in self._known:
            self._known[key] = work()
        return self._known[key]  # type: ignore[return-value]


def opened(
    model: str,
    weights: Path | None,
    data: str | None,
    inputs: Sequence[str] | None,
    reading: Reading | None = None,
    preprocess: str | None = None,
    outputs: Sequence[str | int] | None = None,
) -> tuple[LoadedModel, Images | None]:
    """A model with its weights, and its images where there are any. Raises UsageError for what is not there.

    Images without labels come with the model's answers.
    """
    if preprocess and not data:
        raise UsageError("--preprocess is for images. Give --data, or leave it out.")
    how = Preprocess.parse(preprocess) if preprocess else None
    loaded = load_model(model, input_shape=shapes_of(inputs, model), reading=reading)
    inputs = loaded.inputs(inputs)
    example, shape = parse_inputs(inputs), sample_shape(inputs, model) if data else None
    if weights:
        load_weights(loaded.model, weights)
    elif ":" not in model and not isinstance(loaded.model, OnnxNet):  # a factory may well bring its own, as files do
        console.print(f"No --weights: {model} has random weights, so only its costs mean anything.", style="yellow")
    if not data or not shape:
        return loaded, None
    check_prunable(trace(loaded.model, *example, outputs=outputs))  # before minutes are spent on data
    images = load_images(data, shape=shape, preprocess=how or loaded.preprocess)
    if isinstance(loaded.model, OnnxNet) and images.preprocess and not how:
        console.print(
            "No --preprocess: images are brought to mean 0 and deviation 1 by their own statistics. Give what the network "
            "was trained with.",
            style="yellow",
        )
    if images.measured == "agreement":
        console.print(f"{images.name} has no labels: networks are judged by their agreement with the dense one.")
    return loaded, against(images, loaded.model)
