"""The pool of processes that run oracles."""

import os
import signal
import threading
import time

import pytest

from padless.errors import OracleError
from padless.pool import Pool

WORKER = """
import os, time
def answer(request, payload):
    if request.get("die") and (request["die"] == "always" or not os.path.exists(request["die"])):
        if request["die"] != "always":
            open(request["die"], "w").close()
        print("last words", flush=True)
        os._exit(3)
    if request.get("raise"):
        raise ValueError("no")
    time.sleep(request.get("sleep", 0))
    return {"n": request["n"], "pid": os.getpid(), "bytes": len(payload)}
"""


@pytest.fixture
def worker(tmp_path):
    path = tmp_path / "worker.py"
    path.write_text(WORKER)
    return path


def test_answers_come_in_order_from_several_processes(worker):
    with Pool(worker, "It", workers=2) as pool:
        replies = list(pool.map(lambda n: ({"n": n, "sleep": 0.05 * (n % 2)}, b"x" * n), range(8), str))
    assert [r["n"] for r in replies] == [r["bytes"] for r in replies] == list(range(8))
    assert len({r["pid"] for r in replies}) == 2


def test_a_worker_that_dies_is_replaced_and_loses_nothing(worker, tmp_path):
    with Pool(worker, "It", workers=2) as pool:
        replies = list(
            pool.map(lambda n: ({"n": n, "die": str(tmp_path / "died") if n == 3 else ""}, b""), range(8), str)
        )
    assert [r["n"] for r in replies] == list(range(8))
    assert (tmp_path / "died").exists()


def test_killing_workers_in_mid_run_loses_nothing(worker):
    with Pool(worker, "It", workers=2) as pool:

        def kill():
            time.sleep(0.7)
            for each in pool._workers:
                os.kill(each.process.pid, signal.SIGKILL)

        threading.Thread(target=kill).start()
        replies = list(pool.map(lambda n: ({"n": n, "sleep": 0.02}, b""), range(100), str))
    assert [r["n"] for r in replies] == list(range(100))
    assert len({r["pid"] for r in replies}) == 4


def test_a_request_that_kills_every_worker_is_named_and_the_others_are_answered(worker):
    with Pool(worker, "It", workers=2) as pool:
        replies = pool.map(
            lambda n: ({"n": n, "die": "always" if n == 2 else ""}, b""), range(4), lambda n: f"layer {n}"
        )
        assert [next(replies)["n"], next(replies)["n"]] == [0, 1]
        with pytest.raises(OracleError, match=r"It crashed on layer 2 \(last words\)"):
            next(replies)
        assert pool.ask(({"n": 5}, b""), "it")["n"] == 5
        assert pool.ask(({"n": 5, "raise": True}, b""), "it") == {"error": "ValueError: no"}


def test_a_request_that_takes_too_long_is_stopped(worker):
    with (
        Pool(worker, "It", workers=1, timeout=0.5) as pool,
        pytest.raises(OracleError, match=r"It took more than 0.5 s for it; it was stopped"),
    ):
        pool.ask(({"n": 1, "sleep": 20}, b""), "it")
