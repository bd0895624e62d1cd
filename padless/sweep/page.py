"""The page of a sweep."""

from collections.abc import Mapping, Sequence
from typing import Any


def sweep_page(rows: Sequence[Mapping[str, Any]]) -> str:
    return "<!doctype html>"
