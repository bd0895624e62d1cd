"""On which line of a TOML file a field stands, for messages. The standard library's parser does not say."""

import re
from collections import Counter

HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\"'@ -]+?)\s*\]\]?\s*(?:#.*)?$")
KEY = re.compile(r"\s*([\w.\"'@-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=")


def lines_of(text: str) -> dict[str, int]:
    """Dotted path -> line, from 1, of every table and of every key outside inline tables."""
    lines: dict[str, int] = {}
    arrays: Counter[str] = Counter()
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := HEADER.match(line):
            table = _plain(header[2])
            parts, path = table.split("."), ""
            for part in parts[:-1]:  # an array's tables are entered by their index
                path = f"{path}{part}."
                if arrays[path[:-1]]:
                    path += f"{arrays[path[:-1]] - 1}."
            table = path + parts[-1]
            if header[1] == "[[":
                arrays[table] += 1
                lines.setdefault(table, number)
                table = f"{table}.{arrays[table] - 1}"
            lines.setdefault(table, number)
        elif key := KEY.match(line):
            name = _plain(key[1])
            lines.setdefault(f"{table}.{name}" if table else name, number)
    return lines


def line_of(path: str, lines: dict[str, int]) -> int | None:
    """The line of a field; of its first part, if it has no line of its own; of the nearest table around it."""
    inside = [line for known, line in lines.items() if known.startswith(f"{path}.")]
    if inside and path not in lines:
        return min(inside)
    while path:
        if path in lines:
            return lines[path]
        path = path.rpartition(".")[0]
    return None


def _plain(key: str) -> str:
    return re.sub(r"[\s\"']", "", key)
