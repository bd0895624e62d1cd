"""Training batches, each a function of the seed and the step alone: any device can take a run up anywhere."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from padless.errors import UsageError
from padless.inputs import Images
from padless.train.augment import Augmentation
from padless.train.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Samples x [n, ...] as the network takes them, labels y [n]; with mixup `y_mixed_in`, `kept` being the share of y."""

    x: Tensor
    y: Tensor
    y_mixed_in: Tensor
    kept: float


class Batches:
    """Shuffled training samples with their labels, augmented (`Augmentation`) and mixed (mixup).

    Images that fill no whole batch are left out of an epoch. One of `world` devices gets its part of each batch. Raises
    UsageError when a batch cannot be shared equally.
    """

    def __init__(self, images: Images, recipe: Recipe, rank: int = 0, world: int = 1) -> None:
        assert images.train_labels is not None  # `check_trainable` says so in words
        self.images, self.labels, self.recipe = images, images.train_labels, recipe
        self.augmentation = Augmentation(recipe.augment, images)
        self.size = min(recipe.batch, len(images.train) // world * world)
        if self.size % world or not self.size:
            raise UsageError(f"A batch of {self.size} images cannot be shared by {world} devices. Give a multiple.")
        self.part = slice(rank * self.size // world, (rank + 1) * self.size // world)
        self.steps = len(images.train) // self.size  # an epoch
        self._order: tuple[int, Tensor] = (-1, torch.empty(0))

    def __getitem__(self, step: int) -> Batch:
        epoch, place = divmod(step, self.steps)
        if self._order[0] != epoch:
            self._order = epoch, torch.randperm(len(self.images.train), generator=self.generator(epoch, whole=True))
        rows = self._order[1][place * self.size : (place + 1) * self.size]
        generator = self.generator(step)
        shift, flip = self.augmentation.drawn(self.size, generator)
        partner, kept = torch.randperm(self.size, generator=generator), 1.0
        if alpha := self.recipe.mixup:
            gammas = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=generator)
            kept = float(gammas[0] / gammas.sum().clamp_min(1e-30))

        def augmented(which: Tensor) -> tuple[Tensor, Tensor]:
            samples = self.augmentation(self.images.train[rows[which]], (shift[:, which], flip[which]), generator)
            return self.images.normalised(samples), self.labels[rows[which]]

        places = torch.arange(self.size)[self.part]
        x, y = augmented(places)
        if kept == 1.0:
            return Batch(x=x, y=y, y_mixed_in=y, kept=1.0)
        x_mixed_in, y_mixed_in = augmented(partner[places])
        return Batch(x=torch.lerp(x_mixed_in, x, kept), y=y, y_mixed_in=y_mixed_in, kept=kept)

    def since(self, step: int, end: int) -> Iterator[Batch]:
        """The batches of steps from `step` to before `end`, each made in a thread while the one before it is used."""
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self.__getitem__, step) if step < end else None
            while coming:
                batch, step = coming.result(), step + 1
                coming = pool.submit(self.__getitem__, step) if step < end else None
                yield batch

    def generator(self, number: int, *, whole: bool = False) -> torch.Generator:
        """Of a step, or of a whole epoch."""
        words = np.random.SeedSequence([self.recipe.seed, number, whole]).generate_state(1)
        return torch.Generator().manual_seed(int(words[0]))
