"""Training batches, each a function of the seed and the step alone: any device can take a run up anywhere."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from padless.errors import UsageError
from padless.inputs import Images
from padless.train.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Images x [n, C, H, W], normalised, labels y [n]; with mixup also `y_mixed_in`, `kept` being the share of y."""

    x: Tensor
    y: Tensor
    y_mixed_in: Tensor
    kept: float


class Batches:
    """Random crops from a reflected border of an eighth of the image, mirrored where that keeps the label; mixup.

    Images that fill no whole batch are left out of an epoch. One of `world` devices gets its part of each batch. Raises
    UsageError when a batch cannot be shared equally.
    """

    def __init__(self, images: Images, recipe: Recipe, rank: int = 0, world: int = 1) -> None:
        self.images, self.recipe = images, recipe
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
        borders = [min(max(1, n // 8), n - 1) for n in self.images.train.shape[2:]]
        shift = torch.stack([torch.randint(0, 2 * b + 1, (self.size,), generator=generator) for b in borders])
        flip = torch.rand(self.size, generator=generator) < (0.5 if self.images.flips else 0.0)
        partner, kept = torch.randperm(self.size, generator=generator), 1.0
        if alpha := self.recipe.mixup:
            gammas = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=generator)
            kept = float(gammas[0] / gammas.sum().clamp_min(1e-30))

        def augmented(which: Tensor) -> tuple[Tensor, Tensor]:
            cropped = crops(self.images.train[rows[which]], shift[:, which], flip[which], borders)
            return self.images.normalised(cropped), self.images.train_labels[rows[which]]

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


def crops(images: Tensor, shift: Tensor, flip: Tensor, borders: Sequence[int]) -> Tensor:
    """Each of the images [n, C, H, W] from its reflected border at `shift` [2, n], mirrored where `flip` [n]
    says so. `borders` are of rows and columns."""
    n, _, rows, columns = images.shape
    padded = F.pad(images.float(), [borders[1]] * 2 + [borders[0]] * 2, mode="reflect").to(images.dtype)
    y, x = shift[0, :, None] + torch.arange(rows), shift[1, :, None] + torch.arange(columns)
    x = torch.where(flip[:, None], x.flip(1), x)
    return padded[torch.arange(n)[:, None, None], :, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)
