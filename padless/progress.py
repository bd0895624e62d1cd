"""One progress bar for everything that may take more than two seconds."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

T = TypeVar("T")
# Names and files may hold anything: what a terminal would obey is shown as a mark. Line breaks and tabs stay.
CONTROL = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "\ufffd")


class Terminal(Console):
    """Prints text as it is, without markup and emoji, and never fails a command: what cannot be written is left out.

    `lost` is then why: a closed pipe is no loss, since its reader has what it wanted.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **settings)
        self.lost: OSError | None = None

    def render_str(self, text: str, **settings: Any) -> Text:
        return super().render_str(text.translate(CONTROL), **settings)

    def on_broken_pipe(self) -> None:
        self.quiet = True

    def _check_buffer(self) -> None:
        try:
            super()._check_buffer()
        except OSError as error:  # a full disk, a terminal that is gone
            self.quiet, self.lost = True, self.lost or error
        except ValueError:  # the stream was closed
            self.quiet = True


console = Terminal(stderr=True)


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
    name, note = (TextColumn(f"{{task.{text}}}", markup=False) for text in ("description", "fields[note]"))
    columns = [name, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), note]
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
