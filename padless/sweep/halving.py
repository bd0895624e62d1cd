"""Successive halving (Jamieson and Talwalkar, arXiv:1502.07943): of rivals that train, the worse half stops early.

Rivals are points with the same question: network, images, target, budgets and epochs. They are judged on training images
that none of them trains on, never on the test set.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from padless.sweep.point import Point

HELD_OUT = 0.1  # of the training images
PAUSES = (4, 2)  # after a quarter and after half of the epochs
QUESTION = (
    "model",
    "weights",
    "data",
    "preprocess",
    "target",
    "system",
    "memory_mode",
    "vela_config",
    "budget",
    "input_shape",
)


@dataclass(frozen=True, slots=True)
class Contest:
    """Points that answer one question, and the epochs after which the worse half of them stops."""

    members: tuple[str, ...]
    pauses: tuple[int, ...]


def contests(points: Mapping[str, Point]) -> list[Contest]:
    """The contests among points, by their ids; those that train alone, or for one epoch, are in none."""
    rivals: dict[tuple[str, int], list[str]] = {}
    for id, point in points.items():
        if (recipe := point.recipe()) is not None:
            rivals.setdefault((str([getattr(point, name) for name in QUESTION]), recipe.epochs), []).append(id)
    found = []
    for (_, epochs), members in rivals.items():
        pauses = tuple(sorted({epochs // part for part in PAUSES} - {0, epochs}))
        if len(members) > 1 and pauses:
            found.append(Contest(tuple(members), pauses))
    return found


def standing(
    contest: Contest, scores: Mapping[tuple[str, int], float], gone: Iterable[str]
) -> tuple[list[tuple[str, int | None]], dict[str, dict[str, Any]]]:
    """What is to be trained next (up to which epoch; None: to the end), and who is stopped, with the reason.

    `scores` are the accuracies so far, by point and epoch, `gone` the points that cannot be done.
    """
    alive = [id for id in contest.members if id not in set(gone)]
    stopped: dict[str, dict[str, Any]] = {}
    for epoch in contest.pauses:
        untested = [id for id in alive if (id, epoch) not in scores]
        if untested:
            return [(id, epoch) for id in untested], stopped
        ranked = sorted(alive, key=lambda id: (-scores[id, epoch], id))
        alive = ranked[: (len(ranked) + 1) // 2]
        for place, id in enumerate(ranked[len(alive) :], len(alive) + 1):
            stopped[id] = {
                "epoch": epoch, "held_out_accuracy": scores[id, epoch], "place": place, "of": len(ranked),
                "last_to_go_on": scores[alive[-1], epoch],
            }  # fmt: skip
    return [(id, None) for id in alive], stopped
