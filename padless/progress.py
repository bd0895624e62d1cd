"""One progress bar for everything that may take more than two seconds."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

T = TypeVar("T")
console = Console(stderr=True)


class Bar:
    """A running bar: `advance` it, and say something beside it."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, steps: int = 1, note: str | None = None) -> None:
        self._progress.update(self._task, advance=steps)
        if note is not None:
            self._progress.update(self._task, note=note)


@contextmanager
def bar(title: str, total: int | None) -> Iterator[Bar]:
    """A bar on standard error that goes away when done; silent where that is no terminal. No total: it only pulses."""
    note = TextColumn("{task.fields[note]}")
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), note]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, progress.add_task(title, total=total, note=""))


def track(items: Iterable[T], title: str, *, total: int) -> Iterator[T]:
    """The items, with a bar."""
    with bar(title, total) as shown:
        for item in items:
            yield item
            shown.advance()


@contextmanager
def quiet(when: bool) -> Iterator[None]:
    """Nothing is printed and no bar is shown inside where `when` holds: in a process that only helps another."""
    before = console.quiet
    console.quiet = before or when
    try:
        yield
    finally:
        console.quiet = before
