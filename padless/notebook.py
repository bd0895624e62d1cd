"""How objects show themselves in notebooks: a line, and a short table."""

from collections.abc import Iterable, Sequence
from html import escape

MOST = 24  # rows of a table


def shown(line: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """HTML of a line and a table; all is plain text. Of many rows the first, and how many more there are."""
    whole = list(rows)
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in whole[:MOST])
    more = f"<p>and {len(whole) - MOST} more</p>" if len(whole) > MOST else ""
    return f"<p>{escape(line)}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"
