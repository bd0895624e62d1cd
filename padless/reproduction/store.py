"""Results on disk: rows are added one by one, and a run goes on where one was stopped."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from padless.errors import UsageError
from padless.files import write_atomically
from padless.reproduction.protocol import Cell, Row

FILE = "results.json"


class Results:
    """`FOLDER/results.json`: facts that all rows share, and the rows, one a line."""

    def __init__(self, folder: Path, facts: dict[str, Any], fixed: tuple[str, ...]) -> None:
        """Take up what is there. Raises UsageError when it differs in a fact of `fixed`, or cannot be read."""
        self.file, self.facts = folder / FILE, facts
        self.rows: list[Row] = []
        if not self.file.exists():
            return
        earlier = read_results(self.file)
        for name in fixed:
            if earlier.get(name) != facts[name]:
                raise UsageError(
                    f"{self.file} was measured with {name} {earlier.get(name)!r}, now it is {facts[name]!r}. "
                    "Give the same options, or --out another folder."
                )
        self.rows = earlier["rows"]
        for name in ("weights", "trained"):
            self.facts[name] = {**earlier[name], **facts[name]}
        self.facts["commands"] = list(dict.fromkeys([*earlier["commands"], *facts["commands"]]))
        self.facts |= {name: earlier[name] for name in ("seconds", "staircase")}

    def __contains__(self, cell: Cell) -> bool:
        fields = asdict(cell).items()
        return any(all(row[key] == value for key, value in fields) for row in self.rows)

    def add(self, cell: Cell, measures: Row) -> None:
        self.rows.append(asdict(cell) | measures)
        self.write()

    def know_weights(self, network: str, digest: str) -> None:
        """Raises UsageError when a network's rows are of other weights."""
        known = self.facts["weights"]
        if known.get(network, digest) != digest:
            raise UsageError(f"{self.file} holds {network} with other weights. Give --out another folder.")
        known[network] = digest

    def write(self) -> None:
        write_atomically(self.file, results_text(self.facts, self.rows))


def results_text(facts: Mapping[str, object], rows: Sequence[Row]) -> str:
    """JSON with a row a line, so that a difference can be read."""
    head = json.dumps({key: value for key, value in facts.items() if key != "rows"}, indent=1)
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    return f'{head[:-2]},\n "rows": [\n{lines}\n ]\n}}\n'


def read_results(file: Path) -> dict[str, Any]:
    """A file of results. Raises UsageError where it is none."""
    try:
        content = json.loads(file.read_text())
        content["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{file} holds no results that can be read ({error}). Remove it, or give --out another folder."
        ) from error
    return dict(content)
