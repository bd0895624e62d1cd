"""The options of commands that choose widths, with the defaults of `Choices`."""

from typing import Annotated

import typer

from padless.choose import Choices
from padless.importance import CRITERIA

DEFAULTS = Choices()

Criterion = Annotated[
    str | None,
    typer.Option(
        "--importance",
        help=f"{', '.join(CRITERIA)}, or package.module:function (graph, model, images -> one score a channel). By default "
        "reconstruction with --data, else l1.",
    ),
]
TimeLimit = Annotated[
    float, typer.Option("--time-limit", min=0.1, help="Seconds for each solution of the best widths, at most.")
]
