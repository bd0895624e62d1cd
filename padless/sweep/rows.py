"""A row of a sweep as it is read: a sweep's folder may come from anyone, so each field has its type and its bounds."""

import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic.dataclasses import dataclass

from padless.choose import Budget
from padless.choose.fields import Digest, Finite, first_mistake
from padless.errors import UsageError
from padless.report.summary import STRICT, Count, Measures
from padless.sweep.point import point_of

Row = dict[str, Any]
Status = Literal["done", "stopped", "infeasible", "refused", "failed"]  # in the order in which they are told
Folder = Annotated[str, Field(pattern="^runs/[0-9a-f]{16}(-finetuned)?$")]  # the page leads there


@with_config(ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class Quantities(Measures):
    """A network's totals and accuracies, of which each is a number that a page can show."""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Stopped:
    """Why a point does not go on: how it stood among its rivals."""

    epoch: Count
    place: Count
    of: Count
    held_out_accuracy: Finite
    last_to_go_on: Finite


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class _Fields:
    id: Digest
    point: dict[str, Any]
    status: Status
    attempts: Count
    error: str | None = None
    stopped: Stopped | None = None
    before: Quantities | None = None
    after: Quantities | None = None
    importance_kept: float | None = None  # a loss may be none
    widths: dict[str, tuple[Count, Count]] | None = None
    gap: float | None = None
    solver: str | None = None
    met: bool = False
    align: str | None = None
    folder: Folder | None = None
    seconds: Finite = 0.0
    host: str = ""


def row_of(content: bytes, id: str) -> Row:
    """The row of the point of this id. Raises ValueError, saying what is wrong, for what is none."""
    try:
        row = json.loads(content)
        fields = _FIELDS.validate_json(content)
        budgets = point_of(fields.point).budget
    except ValidationError as error:
        _, field, message = first_mistake(error)
        raise ValueError(f"{field}: {message}" if field else message) from error
    except UsageError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if fields.id != id:
        raise ValueError("it is of another point")
    if fields.status == "failed" and fields.error is None:
        raise ValueError("error: it failed, and does not say why")
    if not budgets:
        raise ValueError("point.budget: it is empty")
    try:
        Budget.parse(budgets[0])
    except UsageError as error:
        raise ValueError(f"point.budget: {error}") from error
    return {
        name: value for name, value in row.items() if value is not None or name not in ("before", "after", "widths")
    }


_FIELDS = TypeAdapter(_Fields)
