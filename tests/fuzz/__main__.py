"""Run the trial: `python -m tests.fuzz [--minutes 15] [--cases N] [--seed 0] [--kind NAME]`.

A case is a number: with the seed it says the kind and all that is done. Each prints nothing; in the end cases and outcomes are counted by
kind, and the code is 1 where one was not clean: an exception that is no message, 10 seconds of work without an end, more than 2 GB, a
process that died, a half-written output, or a caller's model that was changed. `--case N` repeats one with its traceback.
"""

import argparse
import json
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PADLESS_CACHE"] = ""
os.environ["XDG_STATE_HOME"] = "/dev/null"  # no secret: nothing is sealed
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from fuzz import kinds
from fuzz.kinds import KINDS, Kind, outcome_of

SECONDS, WAITED, BYTES = 10.0, 120.0, 2 << 30  # of work, of waiting for it, of memory
SLICE = 400  # cases in one process


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--cases", type=int, default=1 << 40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=[kind.__name__ for kind in KINDS])
    parser.add_argument("--case", type=int)
    parser.add_argument("--kills", type=int, default=0, help="also kill each command at so many file events, at most")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.case is not None:
        kind, rng = chosen(given.seed, given.case, given.kind)
        with tempfile.TemporaryDirectory() as folder:
            print(kind.__name__, outcome_of(kind, rng, Path(folder)))
        return 0
    unclean = trial(given.seed, given.cases, 60 * given.minutes, given.kind)
    unclean += kills(given.kills) if given.kills else []
    return 1 if unclean else 0


def chosen(seed: int, case: int, only: str | None = None) -> tuple[Kind, random.Random]:
    """A case's kind, and the generator for it."""
    rng = random.Random(f"{seed} {case}")
    names = {kind: weight for kind, weight in KINDS.items() if only in (None, kind.__name__)}
    return rng.choices(list(names), list(names.values()))[0], rng


def trial(seed: int, cases: int, seconds: float, only: str | None = None) -> list[str]:
    """Try cases until time or number are spent; print the counts; what was not clean."""
    for prepare in (
        kinds.base,
        kinds.weights,
        kinds.network,
        kinds.pictures,
        kinds.catalogue,
        kinds.few,
        kinds.checkpoint,
        kinds.made_run,
        kinds.valued_options,
    ):
        prepare()  # once, before processes part
    until, counts, unclean, case = time.monotonic() + seconds, Counter[tuple[str, str]](), [], 0
    while case < cases and time.monotonic() < until:
        case = slice_of(seed, case, min(cases, case + SLICE), until, only, counts, unclean)
    table(counts)
    print(f"{sum(counts.values()):,} cases, seed {seed}, {len(unclean)} not clean")
    for line in unclean[:50]:
        print(line)
    return unclean


def slice_of(
    seed: int, first: int, stop: int, until: float, only: str | None, counts: Counter, unclean: list[str]
) -> int:
    """Cases in a process of their own, which is watched; the number of the next case."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        worker(seed, first, stop, until, only, writing)
        os._exit(0)
    os.close(writing)
    began, case, kind, buffer, spent, problem = time.monotonic(), first, "", b"", 0.0, ""
    while not problem:
        ready, _, _ = select.select([reading], [], [], 0.5)
        if ready:
            some = os.read(reading, 1 << 16)
            if not some:
                break
            *lines, buffer = (buffer + some).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if "outcome" in event:
                    counts[event["kind"], event["outcome"]] += 1
                    if event.get("told"):
                        unclean.append(f"--case {event['case']} ({event['kind']}): {event['told']}")
                    case, kind = event["case"] + 1, ""
                else:
                    kind, began, spent = event["kind"], time.monotonic(), processor_seconds(child)
        if kind and (processor_seconds(child) - spent > SECONDS or time.monotonic() - began > WAITED):
            problem = "hang"
        elif resident_bytes(child) > BYTES:
            problem = "memory"
    os.close(reading)
    if problem:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if problem or os.WIFSIGNALED(status):
        problem = problem or f"died of signal {os.WTERMSIG(status)}"
        counts[kind or "?", problem] += 1
        unclean.append(f"--case {case} ({kind}): {problem}")
        return case + 1
    return max(case, first + 1)


def worker(seed: int, first: int, stop: int, until: float, only: str | None, writing: int) -> None:
    """Do the cases, saying of each that it begins and what came of it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    devnull = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(devnull, descriptor)
    with tempfile.TemporaryDirectory() as scratch:
        sys.path.insert(0, scratch)
        for case in range(first, stop):
            if time.monotonic() > until:
                return
            kind, rng = chosen(seed, case, only)
            place = Path(scratch) / str(case)
            place.mkdir()
            told = {"case": case, "kind": kind.__name__}
            say(writing, told)
            try:
                told["outcome"] = outcome_of(kind, rng, place)
            except OSError as error:  # a command says it in one line; in Python it is what it is
                told["outcome"] = "the system's own error"
                told["told"] = "" if error.strerror else repr(error)[:300]
            except BaseException as error:
                frame = next(
                    (f for f in reversed(traceback.extract_tb(error.__traceback__)) if "/padless/" in f.filename), None
                )
                told["outcome"] = "unclean"
                told["told"] = (
                    f"{type(error).__name__}: {str(error)[:300]!r} at {frame and f'{frame.filename}:{frame.lineno}'}"
                )
            say(writing, told)
            shutil.rmtree(place, ignore_errors=True)


def kills(most: int) -> list[str]:
    """Each writing command killed at file events, with and without the exchange in one step: what was not whole after it."""
    bad = []
    for what, more in (
        ("save", ""),
        ("save", "journal"),
        ("prune", ""),
        ("export", ""),
        ("finetune", ""),
        ("sweep", ""),
    ):
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-m", "checks.killed", what, folder, str(most), *([more] if more else [])]
            root = Path(__file__).parents[2]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")])}
            done = subprocess.run(words, env=environment, capture_output=True, text=True)
        told = json.loads(done.stdout.splitlines()[-1]) if not done.returncode else {"error": done.stderr[-2000:]}
        print(f"{what} {more}".strip(), told, flush=True)
        if {*told.get("left", ())} - {"between"} != {"new", "old"} or not told["whole_again"] or told["lingering"]:
            bad.append(f"{what} {more}: {told}")
    return bad


def say(writing: int, event: dict) -> None:
    os.write(writing, json.dumps(event).encode() + b"\n")


def processor_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0


def resident_bytes(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def table(counts: Counter) -> None:
    """Outcomes by kind."""
    kinds_, outcomes = sorted({kind for kind, _ in counts}), sorted({outcome for _, outcome in counts})
    widths = [max(len(outcome), 8) for outcome in outcomes]
    print(
        f"{'':14}{'cases':>8}"
        + "".join(f"  {outcome:>{width}}" for outcome, width in zip(outcomes, widths, strict=True))
    )
    for kind in kinds_:
        row = [counts[kind, outcome] for outcome in outcomes]
        print(
            f"{kind:14}{sum(row):8,}" + "".join(f"  {n or '':>{width}}" for n, width in zip(row, widths, strict=True))
        )


if __name__ == "__main__":
    sys.exit(main())
