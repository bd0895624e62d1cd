"""The trial, shortly; each kind's own input is taken before it is made worse; what is not clean is seen."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from checks.summaries import summary

from fuzz import __main__ as trial
from fuzz import kinds, mutate
from padless import UsageError

ROOT = Path(__file__).parents[2]


def test_some_cases_of_every_kind_are_clean():
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--cases", "700", "--minutes", "5", "--seed", "7"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "700 cases, seed 7, 0 not clean" in done.stdout
    assert all(kind.__name__ in done.stdout for kind in kinds.KINDS)


@pytest.mark.parametrize(
    "kind",
    [
        kinds.plans,
        kinds.summaries,
        kinds.safetensors,
        kinds.onnx,
        kinds.tables,
        kinds.targets,
        kinds.inis,
        kinds.caches,
        kinds.checkpoints,
    ],
    ids=lambda kind: kind.__name__,
)
def test_what_is_not_made_worse_is_taken(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(kinds, "worse_json", lambda rng, text: text)
    monkeypatch.setattr(kinds, "worse_bytes", lambda rng, data: data)
    monkeypatch.setattr(kinds, "worse_text", lambda rng, text: text.encode())
    found = {seed: outcome(kind, seed, tmp_path) for seed in range(8)}
    assert {"accepted", "answered"} & set(found.values()), found


def outcome(kind, seed, place):
    place = place / str(seed)
    place.mkdir()
    return kinds.outcome_of(kind, random.Random(seed), place)


def test_a_case_is_its_number():
    for case in range(50):
        (kind, rng), (again, same) = trial.chosen(3, case), trial.chosen(3, case)
        assert kind is again and rng.random() == same.random()
    assert mutate.worse_bytes(random.Random(1), b"abcdef" * 20) == mutate.worse_bytes(random.Random(1), b"abcdef" * 20)
    assert len({mutate.worse_json(random.Random(i), summary().to_json()) for i in range(40)}) > 35


def hangs(rng, place):
    while True:
        pass


def eats(rng, place):
    held = []
    while True:
        held.append(torch.ones(1 << 26))
        time.sleep(0.2)


def dies(rng, place):
    os.kill(os.getpid(), signal.SIGKILL)


def fails(rng, place):
    raise KeyError("no message")


def changes(rng, place):
    model, _, _ = kinds.base()
    with torch.no_grad():
        model.stem.weight.add_(1)
    return kinds.plans(rng, place)


@pytest.mark.parametrize(
    ("kind", "told"),
    [(hangs, "hang"), (eats, "memory"), (dies, "died of signal 9"), (fails, "KeyError"), (changes, "UncleanError")],
)
def test_what_is_not_clean_is_seen(kind, told, monkeypatch, capsys):
    monkeypatch.setattr(trial, "KINDS", {kind: 1})
    monkeypatch.setattr(trial, "SECONDS", 1.0 if kind is hangs else 50.0)
    monkeypatch.setattr(trial, "BYTES", trial.resident_bytes(os.getpid()) + (1 << 30))
    kinds.base()
    unclean, counts = [], Counter()
    after = trial.slice_of(0, 0, 1, time.monotonic() + 60, None, counts, unclean)
    assert after == 1 and sum(counts.values()) == 1
    assert len(unclean) == 1 and told in unclean[0] and f"--case 0 ({kind.__name__})" in unclean[0]
    trial.table(counts)
    assert kind.__name__ in capsys.readouterr().out


def test_a_refusal_is_no_fault(tmp_path):
    def refuses(rng, place):
        raise UsageError("No.")

    def says_nothing(rng, place):
        raise UsageError(" ")

    assert kinds.outcome_of(refuses, random.Random(0), tmp_path) == "refused"
    with pytest.raises(kinds.UncleanError, match="a message of 1 letters"):
        kinds.outcome_of(says_nothing, random.Random(0), tmp_path)
