"""The paper's comparison and ours at equal cycles: one protocol, its results on disk, tables, figures, a page."""

from padless.reproduction.protocol import EQUAL, FULL, QUICK, Cell, Protocol
from padless.reproduction.run import reproduce

__all__ = ["EQUAL", "FULL", "QUICK", "Cell", "Protocol", "reproduce"]
