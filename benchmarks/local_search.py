"""Which channels go at given widths: our elimination, the same with swaps behind it, and OSSCAR's.

    python benchmarks/local_search.py [--networks vgg16_bn resnet18] [--shares 0.25 0.15] [--seeds 0 1 2]

OSSCAR (Meng et al., ICML 2024; written from the paper) takes the channels of each layer by the error of its own outputs,
over columns of whole filters: backward elimination, then swaps of a channel that goes with one that stays while the error
falls. Ours eliminates on channels alone, in the loss' metric, and swaps nothing (`padless.importance`). `ours, swaps` adds
OSSCAR's search to our objective. In groups that several layers read their errors are summed.

The trained networks, cut to a share of their Vela cycles on ethos-u55-256. Widths, the 512 unlabelled training images that
the seed draws, recovery (`least-squares`, OSSCAR's own last step, in order) and the 10,000 test images are the same for
all; `error` is the objective that the swaps lower, in percent of the elimination's. Rows in the results are not repeated.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean, stdev

import torch
from accuracy_at_cost import TARGET, Network, read_arguments, unmeasured
from common import rows_of, write
from torch import Tensor
from torch.nn import functional as F

from padless import Plan, evaluate, prune, recover
from padless.batches import parts_of
from padless.calls import LayerCalls, evaluating, run
from padless.graph import ChannelGroup
from padless.importance.observed import BATCH, WIDEST, Seen, observe
from padless.moments.columns import columns
from padless.progress import track
from padless.reproduction.protocol import PADLESS
from padless.reproduction.subject import CALIBRATION

OURS, OSSCAR = "ours", "OSSCAR"
METHODS = (OURS, "ours, swaps", OSSCAR)
SWAPS = 64  # a group, at most
WEIGHED = 32  # channels that may come back: those that have most to say of what the outputs lack
TRIED = 8  # of them, the best first, before a search ends


def main() -> None:
    given, rows = read_arguments(__doc__, (0.25, 0.15)), rows_of("local_search")
    for network, here, missing in unmeasured(rows, METHODS, given):
        for method in missing:
            rows.append(here | {"method": method} | measured(network, here["share"], here["seed"], method))
            print(rows[-1], flush=True)
            write("local_search", rows, target=TARGET, images=CALIBRATION)
    table(rows)


def measured(network: Network, share: float, seed: int, method: str) -> dict:
    made = network.at_cycles(PADLESS, share, seed)
    assert made is not None
    plan, images, started = made.plan, network.calibration(seed), time.monotonic()
    facts = {}
    if method != OURS:
        plan, facts = searched(network, plan, images, method)
    seconds = time.monotonic() - started
    small = prune(network.model, plan)
    recovered = recover(small, network.model, plan, images, method="least-squares")
    return facts | {
        "search_seconds": round(seconds, 1), "held_out": min(recovered.held_out.values()),
        "accuracy": evaluate(small, network.images),
    }  # fmt: skip


def searched(network: Network, plan: Plan, images: Sequence[Tensor], method: str) -> tuple[Plan, dict]:
    """The plan with other channels at the same widths, and what the search did."""
    graph, seen = network.graph, observe(network.graph, network.model, images)
    squares = unfolded_squares(network, images) if method == OSSCAR else {}
    keep, before, after, swaps = dict(plan.keep), 0.0, 0.0, 0
    groups = {group.id: group for group in graph.groups}
    for id, kept in track(plan.keep.items(), "Searching", total=len(plan.keep)):
        group = groups[id]
        if len(kept) == group.width:
            continue
        readers = [
            reader(network, seen[layer.weight], squares.get(layer.weight))
            for layer in graph.layers
            if layer.weight in seen and set(layer.inputs) == set(range(group.first, group.first + group.width))
        ]
        assert readers
        search = Search(group, readers)
        if method == OSSCAR:
            search.eliminate(len(kept))
        else:
            search.remove(torch.tensor(sorted(set(range(group.width)) - set(kept))))
        before += search.error
        swaps += search.swap()
        after += search.error
        keep[id] = sorted(search.kept)
    return replace(plan, keep=keep), {"swaps": swaps, "error": round(100 * after / before, 2)}


def unfolded_squares(network: Network, images: Sequence[Tensor]) -> dict[str, Tensor]:
    """By weight, the covariance of a layer's columns [D, D], one for each of a filter's weights: channels outermost."""
    layers = {layer.weight: layer for layer in network.graph.layers if layer.groups == 1}
    sums: dict[str, Seen] = {}

    def watch(name, func, given, call):
        y = call()
        if name in layers and given["weight"][0].numel() <= WIDEST + 512:
            seen = sums.setdefault(name, Seen(layer=layers[name], folded=1))
            for _, x, _ in columns(given["input"], y, given, func is F.linear, given["weight"][0].numel()):
                seen.rows += x.shape[1]
                seen.squares += (x[0].T @ x[0]).double()
                seen.total += x[0].sum(0).double()
        return y

    with evaluating(network.model), torch.no_grad(), LayerCalls(network.model, watch):
        for batch in images:
            for part in parts_of(batch, BATCH):
                run(network.model, part)
    return {name: seen.covariance() for name, seen in sums.items()}


@dataclass(slots=True, eq=False)
class Reader:
    """A layer that reads a group: its inputs' covariance, its weights as they make up for what is gone.

    `weights` [D, K] has a row an input column; channel c is columns c * size to (c + 1) * size.
    """

    covariance: Tensor  # [D, D]
    dense: Tensor  # [D, K]
    size: int
    inverse: Tensor = field(init=False)  # of the covariance of the columns that stay; zero elsewhere
    weights: Tensor = field(init=False)  # zero where a column is gone

    def __post_init__(self) -> None:
        self.inverse, self.weights = torch.linalg.inv(self.covariance), self.dense.clone()

    def at(self, channels: Tensor) -> Tensor:
        """Their columns."""
        return (channels[:, None] * self.size + torch.arange(self.size)).flatten()

    def _blocks(self, matrix: Tensor, channels: Tensor) -> Tensor:
        """[channels, size, size] those on the diagonal."""
        at = self.at(channels).unflatten(0, (-1, self.size))
        return matrix[at[:, :, None], at[:, None, :]]

    def rises(self, channels: Tensor) -> Tensor:
        """What the error rises by when one of the channels goes."""
        rows = self.weights[self.at(channels)].unflatten(0, (-1, self.size))
        return (torch.linalg.solve(self._blocks(self.inverse, channels), rows) * rows).sum((1, 2))

    def remove(self, channels: Tensor) -> float:
        """They go, the others make up for them; what that costs."""
        gone = self.at(channels)
        rows = self.weights[gone]
        lost = torch.linalg.solve(self.inverse[gone][:, gone], torch.cat([rows, self.inverse[gone]], 1))
        made_up, update = lost[:, : rows.shape[1]], lost[:, rows.shape[1] :]
        error = float((made_up * rows).sum())
        self.weights -= self.inverse[:, gone] @ made_up
        self.inverse -= self.inverse[:, gone] @ update
        for zeroed in (self.weights, self.inverse):
            zeroed[gone] = 0.0
        self.inverse[:, gone] = 0.0
        return error

    def falls(self, channels: Tensor) -> Tensor:
        """What the error falls by when one of the channels comes back."""
        gone = self.at(channels)
        missed = self._missed(gone).unflatten(0, (-1, self.size))
        return (torch.linalg.solve(self._own(channels, self.covariance[:, gone]), missed) * missed).sum((1, 2))

    def promises(self, channels: Tensor) -> Tensor:
        """The same where those that stay said nothing of each: for less work, to choose whom to look at."""
        missed = self._missed(self.at(channels)).unflatten(0, (-1, self.size))
        return (torch.linalg.solve(self._blocks(self.covariance, channels), missed) * missed).sum((1, 2))

    def _missed(self, gone: Tensor) -> Tensor:
        """[gone, K] products of the columns with what the outputs lack."""
        return self.covariance[gone] @ (self.dense - self.weights)

    def _own(self, channels: Tensor, across: Tensor) -> Tensor:
        """[channels, size, size] the variance of each that those that stay do not explain."""
        explained = (self.inverse @ across).unflatten(1, (-1, self.size))
        return self._blocks(self.covariance, channels) - torch.einsum(
            "dcs,dct->cst", across.unflatten(1, (-1, self.size)), explained
        )

    def restore(self, channel: Tensor) -> float:
        """One comes back; what the error falls by."""
        back = self.at(channel)
        across = self.inverse @ self.covariance[:, back]  # [D, size]
        own = self._own(channel, self.covariance[:, back])[0]
        missed = self._missed(back)
        weights = torch.linalg.solve(own, missed)
        self.weights -= across @ weights
        self.weights[back] = weights
        inverse = torch.linalg.inv(own)
        self.inverse += across @ inverse @ across.T
        self.inverse[:, back] = -across @ inverse
        self.inverse[back] = self.inverse[:, back].T
        self.inverse[back[:, None], back] = inverse
        return float((weights * missed).sum())

    def state(self) -> tuple[Tensor, Tensor]:
        return self.inverse.clone(), self.weights.clone()

    def put_back(self, state: tuple[Tensor, Tensor]) -> None:
        self.inverse, self.weights = state


def reader(network: Network, seen: Seen, squares: Tensor | None) -> Reader:
    """On columns of whole filters, each output alike; else on channels, each output as the loss weighs it."""
    weight = network.model.get_parameter(seen.layer.weight).detach().double()
    if squares is not None:
        return Reader(squares, weight.flatten(1).T.contiguous(), weight[0, 0].numel())
    weigh = (0.5 * seen.gradient_squares / seen.images).sqrt()
    return Reader(seen.covariance(), (weight.flatten(2) if weight.ndim > 2 else weight[..., None]).mul(
        weigh[:, None, None]
    ).transpose(0, 1).flatten(1), 1)  # fmt: skip


class Search:
    """One group's channels that stay, by the summed error of the layers that read them."""

    def __init__(self, group: ChannelGroup, readers: Sequence[Reader]) -> None:
        self.readers, self.width, self.gone, self.error = readers, group.width, set[int](), 0.0

    @property
    def kept(self) -> set[int]:
        return set(range(self.width)) - self.gone

    def remove(self, channels: Tensor) -> None:
        self.error += sum(each.remove(channels) for each in self.readers)
        self.gone |= set(channels.tolist())

    def restore(self, channel: int) -> None:
        self.error -= sum(each.restore(torch.tensor([channel])) for each in self.readers)
        self.gone.remove(channel)

    def cheapest(self, count: int, besides: Sequence[int] = ()) -> Tensor:
        left = torch.tensor(sorted(self.kept - set(besides)))
        rises = torch.stack([each.rises(left) for each in self.readers]).sum(0)
        return left[rises.argsort(stable=True)[:count]]

    def eliminate(self, stay: int) -> None:
        """Backwards, a few at a time."""
        chunk = max(1, self.width // 64)
        while (more := len(self.kept) - stay) > 0:
            self.remove(self.cheapest(min(chunk, more)))

    def swap(self) -> int:
        """Swap one that goes with one that stays while that helps; how many were."""
        for done in range(SWAPS):
            if not self._swapped():
                return done
        return SWAPS

    def _swapped(self) -> bool:
        gone = torch.tensor(sorted(self.gone))
        promises = torch.stack([each.promises(gone) for each in self.readers]).sum(0)
        likely = gone[promises.argsort(descending=True, stable=True)[:WEIGHED]]
        falls = torch.stack([each.falls(likely) for each in self.readers]).sum(0)
        before, states = self.error, [each.state() for each in self.readers]
        for channel in likely[falls.argsort(descending=True, stable=True)[:TRIED]].tolist():
            self.restore(channel)
            self.remove(self.cheapest(1, besides=[channel]))
            if self.error < before * (1 - 1e-6):
                return True
            (other,) = set(self.gone) - set(gone.tolist())
            self.gone, self.error = self.gone - {other} | {channel}, before
            for each, (inverse, weights) in zip(self.readers, states, strict=True):
                each.put_back((inverse.clone(), weights.clone()))
        return False


def table(rows: Sequence[Mapping]) -> None:
    """Means over seeds, with the deviation of a single one."""
    for name, share in dict.fromkeys((row["network"], row["share"]) for row in rows):
        print(f"\n{name} at {share:.0%} of the cycles")
        for method in METHODS:
            cells = [row for row in rows if (row["network"], row["share"], row["method"]) == (name, share, method)]
            if cells:
                found = [row["accuracy"] for row in cells]
                spread = f" ± {stdev(found):.2f}" if len(found) > 1 else ""
                errors = [row["error"] for row in cells if "error" in row]
                lower = f"   error {mean(errors):.1f} %" if errors else ""
                print(f"  {method:12} {mean(found):6.2f}{spread}{lower}")


if __name__ == "__main__":
    main()
