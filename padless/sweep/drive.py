"""The driver of a sweep: what is still to do goes to a runner, and every answer becomes one file."""

import json
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from padless.cost.cache import Cache
from padless.errors import UsageError
from padless.progress import Bar, bar, console
from padless.sweep.examine import examine, files_of, ids
from padless.sweep.gather import FOLDER, gathered, read_rows, read_scores, write_score
from padless.sweep.grid import Place, read_grid
from padless.sweep.halving import Contest, contests, standing
from padless.sweep.local import LocalRunner
from padless.sweep.on_ray import RayRunner
from padless.sweep.point import Point, point_of
from padless.sweep.prices import priced
from padless.sweep.runner import Ended, Runner, Task
from padless.sweep.store import Store, StoreError, open_store
from padless.sweep.work import MARK, source_of

RETRIES = 2
AGAIN = 1.0  # seconds until a point that another sweep works on is looked at again
SAYING = 30.0  # seconds between two lines where there is no terminal for a bar


def sweep(
    points: str | Path | Iterable[Point | Mapping[str, Any]],
    *,
    out: str | Path,
    jobs: int | None = None,
    ray: bool = False,
    address: str | None = None,
    cpus: int = 1,
    gpus: int = 0,
    memory: int = 0,
    retry_failed: bool = False,
    halve: bool = False,
    csv: bool = False,
    trust: bool = False,
) -> list[dict[str, Any]]:
    """Do every point once, and return a row for each, in their order.

    `points` is a TOML file (see `docs/sweeps.md`), or `Point`s, or dictionaries of the options of `padless prune`. `out` is
    a folder, or an object store by URI; what is there from an earlier call is not done again. `jobs` processes of this
    machine do the work (by default as many as it has CPUs for), or with `ray` a Ray of this machine, or a Ray cluster at
    `address`. Each point gets `cpus` threads, `gpus` graphics processors and `memory` bytes. With `halve` the worse half of
    points that answer the same question by training stops after a quarter and after half of the epochs, judged on a tenth of
    the training images, which none of them trains on.

    A row has `status`: `done`; `infeasible` where no cut meets the budget; `refused` where the point cannot be done as it
    stands; `stopped` by `halve`; `failed` where it died, and died again twice. Rows lie in OUT/points; results.parquet
    (results.csv with `csv`, or without pyarrow) and sweep.html are made from them.

    A grid may be anyone's work: what it names beyond what ships with padless (a factory, a command, a table, a target's
    file) is used only with `trust`. Points that your own code gives are yours.

    Raises UsageError with all mistakes before anything starts, and StoreError where rows could not be written.
    """
    placed = read_grid(Path(points), trust) if isinstance(points, str | Path) else _given(points)
    if not placed:
        raise UsageError("There is no point to do.")
    store = open_store(str(out))
    if store.folder is not None:
        store.folder = store.folder.absolute()
    todo = _Todo(placed, store, retry_failed, halve)
    if todo.tasks:
        questions = examine(todo.placed())
        runner: Runner = (
            RayRunner(address, cpus=cpus, gpus=gpus, memory=memory)
            if ray or address
            else LocalRunner(jobs, cpus=cpus, gpus=gpus, memory=memory)
        )
        try:
            answers = runner.share(priced(questions, runner))
            _Drive(todo, store, runner, halve).run(answers, max(1, gpus))
        finally:
            runner.close()
    rows = gathered(store, csv=csv)
    return [rows[id] for id in todo.ids if id in rows]


def _given(points: Iterable[Point | Mapping[str, Any]]) -> list[tuple[Point, Place]]:
    """Points of a Python caller. Raises UsageError naming those that are none."""
    placed: list[tuple[Point, Place]] = []
    for number, given in enumerate(points):
        try:
            placed.append((given if isinstance(given, Point) else point_of(given), Place("The list of points")))
        except UsageError as error:
            raise UsageError(f"Point {number}: {error}") from error
    return placed


class _Todo:
    """The points that have no row yet, those with the same network and images side by side."""

    def __init__(self, placed: list[tuple[Point, Place]], store: Store, retry_failed: bool, halve: bool) -> None:
        self.ids = ids((point for point, _ in placed), halve)
        self._placed = dict(zip(self.ids, placed, strict=True))  # a point that is given twice is done once
        rows = read_rows(store, self._placed)
        self.rows = {id: row for id, row in rows.items() if not (retry_failed and row["status"] == "failed")}
        waiting = [id for id in self._placed if id not in self.rows]
        first: dict[str, int] = {}
        for place, id in enumerate(waiting):
            first.setdefault(self.group(id), place)
        self.tasks = sorted(waiting, key=lambda id: first[self.group(id)])

    def __len__(self) -> int:
        return len(self._placed)

    def point(self, id: str) -> Point:
        return self._placed[id][0]

    def group(self, id: str) -> str:
        point = self.point(id)
        return str((source_of(point), point.seed))

    @property
    def points(self) -> dict[str, Point]:
        return {id: point for id, (point, _) in self._placed.items()}

    def placed(self) -> list[tuple[Point, Place]]:
        return [self._placed[id] for id in self.tasks]


class _Drive:
    """Hands tasks out, tries again what died, and writes rows."""

    def __init__(self, todo: _Todo, store: Store, runner: Runner, halve: bool) -> None:
        self.todo, self.store, self.runner, self.halve = todo, store, runner, halve
        self.contests = contests(todo.points) if halve else []
        self.scores = {(id, epoch): score for id, epoch, score in read_scores(store)} if halve else {}
        self.rows = todo.rows
        self.submitted: set[tuple[str, int | None]] = set()
        self.attempts: Counter[str] = Counter()
        self.postponed: list[tuple[float, Task]] = []
        self.open = set(todo.tasks)
        self.status: Counter[str] = Counter()
        self.unwritten: list[str] = []
        self.cache = Cache()
        self.said = time.monotonic()

    def run(self, answers: Any, devices: int) -> None:
        """Until every point has its row. Raises StoreError where some could not be written."""
        self.arguments = {
            "where": self._where(), "mark": self._mark(), "answers": answers, "tell": self.runner.apart, "devices": devices,
            "halve": self.halve,
        }  # fmt: skip
        in_contests = {id for contest in self.contests for id in contest.members}
        for id in self.todo.tasks:
            if id not in in_contests:
                self._submit(id)
        for contest in self.contests:
            self._advance(contest)
        with bar("Sweeping", len(self.todo)) as shown:
            shown.advance(len(self.rows))
            self._show(shown, 0)
            while self.open:
                ended = self.runner.wait(AGAIN)
                if ended:
                    self._show(shown, self._take(ended))
                else:
                    self._show(shown, self._look_again())
        self.cache.close()
        if self.unwritten:
            raise StoreError(
                f"{len(self.unwritten)} row(s) could not be written: {self.unwritten[0]} Call it again then."
            )

    def _submit(self, id: str, until: int | None = None) -> None:
        point = self.todo.point(id)
        arguments = {"point": point.said, "id": id, "files": files_of(point), "until": until, **self.arguments}
        task = Task(id=id, function="padless.sweep.work:do_point", arguments=arguments, group=self.todo.group(id))
        self.runner.submit(task)

    def _advance(self, contest: Contest) -> None:
        """Let the next round begin, if the last one is over."""
        gone = [
            id for id in contest.members if self.rows.get(id, {}).get("status") in ("infeasible", "refused", "failed")
        ]
        following, stopped = standing(contest, self.scores, gone)
        for id, reason in stopped.items():
            if id in self.open:
                self._write(id, {"status": "stopped", "stopped": reason})
        for id, until in following:
            if id in self.open and (id, until) not in self.submitted:
                self.submitted.add((id, until))
                self._submit(id, until)

    def _take(self, ended: Ended) -> int:
        """What a task has come to: how many points got their row by it."""
        task, id, before = ended.task, ended.task.id, len(self.open)
        if ended.error is None and "score" in ended.result:
            epoch = task.arguments["until"]
            self.scores[id, epoch] = ended.result["score"]
            write_score(self.store, id, epoch, ended.result["score"])
        elif row := self._row(ended):
            self._write(id, row)
        for contest in self.contests:
            if id in contest.members:
                self._advance(contest)
        return before - len(self.open)

    def _row(self, ended: Ended) -> dict[str, Any] | None:
        """A point's row; None where it is to be tried again."""
        task, id = ended.task, ended.task.id
        if ended.error is None and "elsewhere" in ended.result:
            self.postponed.append((time.monotonic() + AGAIN, task))
            return None
        self.attempts[id] += 1
        if ended.error is None:
            self.cache.put(ended.result.get("answers", {}))
            return {"status": "done", **ended.result["row"]}
        if ended.refused:
            return {"status": "infeasible" if ended.refused == "InfeasibleError" else "refused", "error": ended.error}
        if self.attempts[id] <= RETRIES:
            self.runner.submit(task)
            return None
        return {"status": "failed", "error": ended.error}

    def _write(self, id: str, row: dict[str, Any]) -> None:
        whole = {"id": id, "point": self.todo.point(id).said, **row, "attempts": self.attempts[id]}
        try:
            self.store.write(f"{FOLDER}/{id}.json", (json.dumps(whole, indent=1) + "\n").encode())
        except StoreError as error:
            if not self.unwritten:
                console.print(str(error), style="yellow", markup=False)
            self.unwritten.append(str(error))
        self.rows[id] = whole
        self.status[row["status"]] += 1
        self.open.discard(id)

    def _look_again(self) -> int:
        """What another sweep was working on: it has its row by now, or its turn comes here. How many have."""
        now, count = time.monotonic(), 0
        due = [task for when, task in self.postponed if when <= now]
        self.postponed = [(when, task) for when, task in self.postponed if when > now]
        for task in due:
            if self.store.read(f"{FOLDER}/{task.id}.json") is None:
                self.runner.submit(task)
            else:
                self.open.discard(task.id)
                count += 1
        return count

    def _show(self, shown: Bar, more: int) -> None:
        running = min(self.runner.slots, len(self.open))
        counts = [f"{running} running", *(f"{n} {name}" for name, n in self.status.items() if name != "done")]
        shown.advance(more, ", ".join(counts))
        if not console.is_terminal and time.monotonic() - self.said > SAYING:
            done = len(self.todo) - len(self.open)
            console.print(f"{done:,} of {len(self.todo):,} points, {', '.join(counts)}")
            self.said = time.monotonic()

    def _where(self) -> str:
        return self.store.where if self.store.folder is None else str(self.store.folder)

    def _mark(self) -> str:
        """What tells this folder from others of its name on other machines."""
        there = self.store.read(MARK)
        if there is None:
            there = secrets.token_hex(8).encode()
            self.store.write(MARK, there)
        return there.decode(errors="replace")


def status_of(out: str | Path) -> tuple[dict[str, int], dict[str, str]]:
    """How far a sweep is, from its rows alone: how many of each status, and the last error of each that failed."""
    rows = read_rows(open_store(str(out)))
    if not rows:
        raise UsageError(f"{out} holds no points of a sweep. Give the folder that `padless sweep --out` wrote.")
    failed = {id: row["error"] for id, row in rows.items() if row["status"] == "failed"}
    return dict(Counter(row["status"] for row in rows.values())), failed
