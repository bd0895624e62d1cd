"""Every number about hardware has a source: the `[[fact]]` tables of a target file.

A fact names a field by its dotted path and repeats the field's value, so that neither can change alone; a draft of one's own
may leave the value out. It may name a whole table and thereby cover all numbers below it; a list of plain numbers is one
value.
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

Confidence = Literal["documented", "derived", "reverse-engineered", "given"]
MISSING = object()


class Fact(BaseModel):
    """Where one value was read.

    `confidence` is "documented" (the vendor's manual, specification or RTL says it), "derived" (it follows from
    the vendor's compiler, driver or cost model), "reverse-engineered" (a third party found it) or "given" (the user
    says so).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str
    value: JsonValue = None  # left out: whatever the field has
    source: str
    locator: str
    confidence: Confidence


def problems(stated: dict[str, JsonValue], facts: tuple[Fact, ...], unknown: tuple[str, ...]) -> list[str]:
    """What does not fit between the values of a target, the facts behind them and what it calls unknown."""
    complaints = []
    for number, fact in enumerate(facts):
        value = look_up(stated, fact.field)
        if not fact.source.strip():
            complaints.append(f"fact.{number}.source: is empty; say where {fact.field} was read")
        if value is MISSING:
            complaints.append(f"{fact.field}: has a fact but no value")
        elif fact.value is not None and value != fact.value:
            complaints.append(f"{fact.field}: is {value}, but its fact says {fact.value} ({fact.source})")
    covered = [fact.field for fact in facts]
    for path in _numbers(stated):
        if not any(path == field or path.startswith(f"{field}.") for field in covered):
            complaints.append(f"{path}: has no [[fact]]; give field, value, source, locator, confidence")
    complaints += [
        f"{path}: is listed as unknown but has a value" for path in unknown if look_up(stated, path) is not MISSING
    ]
    return complaints


def look_up(tree: JsonValue, path: str) -> object:
    """The value at a dotted path; a list is entered by index (`rule.0`)."""
    for key in path.split("."):
        if isinstance(tree, list) and key.isdecimal() and int(key) < len(tree):
            tree = tree[int(key)]
        elif isinstance(tree, dict) and key in tree:
            tree = tree[key]
        else:
            return MISSING
    return tree


def _numbers(tree: JsonValue, path: str = "") -> Iterator[str]:
    """The dotted path of every number; a list that starts with a number counts as one."""
    first = tree[0] if isinstance(tree, list) and tree else tree
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _numbers(value, f"{path}.{key}" if path else key)
    elif isinstance(tree, list) and isinstance(first, dict):
        for index, value in enumerate(tree):
            yield from _numbers(value, f"{path}.{index}")
    elif isinstance(first, int | float) and not isinstance(first, bool):
        yield path
