"""Results on disk: rows are added one by one, and a run goes on where one was stopped."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from padless.errors import UsageError
from padless.files import write_atomically
from padless.reproduction.protocol import Cell

FILE = "results.json"


class Results:
    """`FOLDER/results.json`: facts that all rows share, and the rows, one a line."""

    def __init__(self, folder: Path, facts: dict[str, Any], fixed: tuple[str, ...]) -> None:
        """Take up what is there. Raises UsageError when it differs in a fact of `fixed`, or cannot be read."""
        self.file, self.facts = folder / FILE, facts
        self.rows: list[dict[str, Any]] = []
        if not self.file.exists():
            return
        found = read_results(self.file)
        for name in fixed:
            if found.get(name) != facts[name]:
                raise UsageError(
                    f"{self.file} was measured with {name} {found.get(name)!r}, now it is {facts[name]!r}. "
                    "Give the same options, or --out another folder."
                )
        self.rows = found["rows"]
        for name in ("weights", "trained"):
            self.facts[name] = {**found[name], **facts[name]}
        self.facts["commands"] = list(dict.fromkeys([*found["commands"], *facts["commands"]]))
        self.facts |= {name: found[name] for name in ("seconds", "staircase")}

    def __contains__(self, cell: Cell) -> bool:
        wanted = asdict(cell).items()
        return any(all(row[key] == value for key, value in wanted) for row in self.rows)

    def add(self, cell: Cell, found: dict[str, Any]) -> None:
        self.rows.append(asdict(cell) | found)
        self.write()

    def know_weights(self, network: str, digest: str) -> None:
        """Raises UsageError when a network's rows are of other weights."""
        known = self.facts["weights"]
        if known.get(network, digest) != digest:
            raise UsageError(f"{self.file} holds {network} with other weights. Give --out another folder.")
        known[network] = digest

    def write(self) -> None:
        write_atomically(self.file, results_text(self.facts, self.rows))


def results_text(facts: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """JSON with a row a line, so that a difference can be read."""
    head = json.dumps({key: value for key, value in facts.items() if key != "rows"}, indent=1)
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    return f'{head[:-2]},\n "rows": [\n{lines}\n ]\n}}\n'


def read_results(file: Path) -> dict[str, Any]:
    """A file of results. Raises UsageError where it is none."""
    try:
        found = json.loads(file.read_text())
        found["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{file} holds no results that can be read ({error}). Remove it, or give --out another folder."
        ) from error
    return dict(found)
