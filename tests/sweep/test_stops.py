"""What stops a sweep: Ctrl-C, a kill of the driver, of a worker, of a cluster's node. Every point once, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

NOISE = ("seconds", "host", "attempts")
HERE = Path(__file__).parents[1]
GRID = """model = "models.slow:slow"
work = "plan"
target = "unit:4"
budget = "macs=50%"
seed = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
"""


def enter(place, patch):
    """Into a folder with the grid, from where its network is found."""
    patch.chdir(place)
    patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parent)]))
    Path("grid.toml").write_text(GRID)


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """What the grid's rows are when nothing stops it."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("calm")
        patch.setenv("PADLESS_CACHE", str(place / "cache"))
        patch.setenv("XDG_STATE_HOME", str(place / "state"))
        enter(place, patch)
        finished("--jobs", "2")
        return quiet()


@pytest.fixture
def trial(tmp_path, monkeypatch):
    """A grid of ten points that take a second each, and a mark that every process of the trial carries."""
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("PADLESS_TRIAL", uuid.uuid4().hex)
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    yield
    for process in living():
        os.kill(process, signal.SIGKILL)


def living() -> list[int]:
    """The processes that carry the mark, but for this one."""
    mark, found = os.environ["PADLESS_TRIAL"].encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                carries = mark in (entry / "environ").read_bytes()
                zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
            found += [int(entry.name)] if carries and not zombie else []
    return found


def started(*options):
    return subprocess.Popen(
        [sys.executable, "-m", "padless", "sweep", "grid.toml", "--trust", "--out", "o", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def rows():
    files = sorted(Path("o/points").glob("*.json"))
    return [json.loads(file.read_text()) for file in files]


def quiet():
    return [{name: value for name, value in row.items() if name not in NOISE} for row in rows()]


def until(happened, seconds=180.0):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def finished(*options):
    done = started(*options)
    output, errors = done.communicate(timeout=300)
    assert done.returncode == 0, errors
    return output


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_driver_that_is_stopped_leaves_nothing_and_goes_on(trial, calm, end):
    driver = started("--jobs", "2")
    until(lambda: len(rows()) >= 2)
    if end == signal.SIGINT:  # as a terminal sends it: to all
        os.killpg(driver.pid, end)
        _, errors = driver.communicate(timeout=60)  # seconds of a busy machine: alone it is under five
        assert driver.returncode == 130
        assert "Stopped. What is done is in o; the same command goes on." in errors
    else:
        driver.kill()
        driver.communicate()
    until(lambda: not living(), 60)
    kept = {row["id"]: row for row in rows()}
    assert 2 <= len(kept) < 10
    assert not [file for file in Path("o").rglob("*") if file.is_file() and "-" in file.name]  # nothing half-written
    finished("--jobs", "2")
    assert len(rows()) == 10 and all(row["status"] == "done" for row in rows())
    assert {row["id"]: row for row in rows() if row["id"] in kept} == kept  # not done again
    assert quiet() == calm


def test_two_sweeps_in_one_folder_do_each_point_once(trial):
    drivers = [started("--jobs", "1") for _ in range(2)]
    for driver in drivers:
        _, errors = driver.communicate(timeout=300)
        assert driver.returncode == 0, errors
    assert len(rows()) == 10 and all(row["status"] == "done" for row in rows())
    assert sum(row["seconds"] for row in rows()) < 10 * 10


CLUSTER = """
import os, signal, subprocess, sys, time
from pathlib import Path
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
cluster.wait_for_nodes()
command = [sys.executable, "-m", "padless", "sweep", "grid.toml", "--trust", "--out", "o", "--address", cluster.address]

def rows(count):
    while len(list(Path("o").glob("points/*.json"))) < count:
        time.sleep(0.05)

def worker():
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ray::_call"):
                return int(entry.name)
        except OSError:
            pass

driver = subprocess.Popen(command)
rows(2)
driver.kill()
driver.wait()
driver = subprocess.Popen(command)
rows(4)
while (found := worker()) is None:
    time.sleep(0.05)
os.kill(found, signal.SIGKILL)
rows(6)
cluster.remove_node(nodes[1], allow_graceful=False)
print("CODE", driver.wait())
cluster.shutdown()
"""


def test_a_cluster_that_loses_its_driver_a_worker_and_a_node(trial, calm):
    pytest.importorskip("ray", reason="the extra sweep is not installed")
    program = [sys.executable, "-W", "ignore", "-c", CLUSTER]
    done = subprocess.run(program, capture_output=True, text=True, timeout=500, check=False)
    assert "CODE 0" in done.stdout, done.stderr[-2000:]
    assert len(rows()) == 10
    until(lambda: not living(), 90)
    assert quiet() == calm
