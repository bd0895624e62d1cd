"""The costs of all points' layers, asked once, on as many workers as there are; nobody shares a database."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from padless.cost.cache import Cache, recorded
from padless.cost.oracle import CachedOracle
from padless.cost.oracles import open_oracle
from padless.graph import LayerShape
from padless.hardware import load_target
from padless.progress import bar, console
from padless.sweep.examine import Question
from padless.sweep.runner import Runner, Task, next_of

TOGETHER = 32  # layers a task


def priced(questions: Mapping[Question, Mapping[LayerShape, None]], runner: Runner) -> dict[str, Any]:
    """Every answer that the points will need, as rows of the cost cache, which keeps them, too.

    Oracles whose answers depend on the machine that is asked are asked here, alone, before anything else runs.
    """
    answers: dict[str, Any] = {}
    tasks: list[Task] = []
    for question, shapes in questions.items():
        target, oracle = _target(question), question[-1]
        cached = CachedOracle(open_oracle(oracle, load_target(**target)))
        try:
            if cached.oracle.key is None:
                continue
            missing = cached.unknown(list(shapes))
            answers |= cached.rows(shapes)
            if missing and not cached.oracle.portable:
                with recorded() as asked:
                    cached.attempt(missing)
                answers |= asked
            elif missing:
                tasks += _tasks(target, oracle, missing, len(tasks))
        finally:
            cached.close()
    for rows in _asked(tasks, runner):
        answers |= rows
    return answers


def _asked(tasks: list[Task], runner: Runner) -> Iterator[Mapping[str, Any]]:
    cache = Cache()
    for task in tasks:
        runner.submit(task)
    with bar("Asking what layers cost", len(tasks)) as shown:
        for _ in tasks:
            ended = next_of(runner)
            if ended.error:  # the points will meet it, and say so
                console.print(f"A part of the costs was not answered: {ended.error}", style="yellow", markup=False)
                continue
            cache.put(ended.result)
            yield ended.result
            shown.advance()
    cache.close()


def _tasks(target: Mapping[str, Any], oracle: str, shapes: list[LayerShape], first: int) -> Iterator[Task]:
    for start in range(0, len(shapes), TOGETHER):
        part = [asdict(shape) for shape in shapes[start : start + TOGETHER]]
        yield Task(
            id=f"costs {first + start // TOGETHER}", function="padless.sweep.work:ask",
            arguments={"target": target, "oracle": oracle, "shapes": part},
        )  # fmt: skip


def _target(question: Question) -> dict[str, Any]:
    spec, system, memory_mode, vela_config, _ = question
    return {"spec": spec, "system": system, "memory_mode": memory_mode, "vela_config": vela_config}
