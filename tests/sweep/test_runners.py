"""The two runners, and what they say of what cannot be."""

import sys

import pytest

from padless import UsageError
from padless.sweep import local, on_ray
from padless.sweep.local import LocalRunner
from padless.sweep.on_ray import _call
from padless.sweep.runner import Task, call, shared


def double(number):
    return 2 * number


def wrong(kind):
    raise kind("no such\nthing")


def test_a_task_is_a_function_by_its_name():
    assert call("operator:add", {}) == {"error": "TypeError: add expected 2 arguments, got 0"}
    assert call(f"{__name__}:double", {"number": 2}) == {"result": 4}
    assert call(f"{__name__}:wrong", {"kind": UsageError}) == {"error": "no such\nthing", "refused": "UsageError"}
    assert call(f"{__name__}:wrong", {"kind": ValueError}) == {"error": "ValueError: no such thing"}
    assert call(f"{__name__}:wrong", {"kind": MemoryError}) == {"error": "The memory was full."}
    assert call("no.such:thing", {})["error"].startswith("ModuleNotFoundError: No module named")


def test_shared_data_is_read_once(tmp_path):
    file = tmp_path / "d.json"
    file.write_text('{"a": 1}')
    assert shared(str(file)) == {"a": 1}
    file.unlink()
    assert shared(str(file)) == {"a": 1}
    assert shared({"b": 2}) == {"b": 2}


def test_a_worker_keeps_to_its_group():
    runner = LocalRunner(1)
    try:
        for group in "ABAB":
            runner.submit(Task(id=group, function="os:getpid", arguments={}, group=group))
        ended = [runner.wait(120) for _ in range(4)]
        assert "".join(each.task.group for each in ended) in ("AABB", "ABBA", "BBAA")
        assert len({each.result for each in ended}) == 1
        assert runner.wait(0.01) is None
        assert runner.slots == 1 and not runner.apart
    finally:
        runner.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"jobs": 0}, "--jobs is 1 or more; got 0"),
        ({"cpus": 0}, "A point takes 1 CPU or more; got 0"),
        ({"gpus": -1}, "--gpus is 0 or more; got -1"),
        ({"memory": 1 << 60}, "A point asks for 1,152,921,504,606,846,976 bytes of memory; this machine has"),
        ({"gpus": 99}, r"A point asks for 99 GPU\(s\); this machine has \d+\. Leave --gpus out"),
    ],
)
def test_counts_that_cannot_be(options, said):
    with pytest.raises(UsageError, match=said):
        LocalRunner(**options)


def test_graphics_processors_are_shared_out(monkeypatch):
    monkeypatch.setattr(local.torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    with pytest.raises(UsageError, match=r"3 jobs of 2 GPU\(s\) do not fit the 4 of this machine"):
        LocalRunner(3, gpus=2)
    runner = LocalRunner(2, gpus=2)
    assert [worker._environment["CUDA_VISIBLE_DEVICES"] for worker in runner._workers] == ["4,5", "6,7"]
    runner.close()


def test_ray_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        UsageError, match=r"A sweep on Ray needs the package ray\. Install it with: pip install 'padless\[sweep\]'"
    ):
        on_ray.RayRunner()


def test_a_cluster_that_does_not_answer(monkeypatch):
    ray = pytest.importorskip("ray")

    def init(**options):
        assert options["address"] == "host:1"
        raise ConnectionError("Ray cluster at 'host:1' is not there.\nMore of it.")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(
        UsageError, match="No Ray cluster answers at host:1: .* is not there. Start one with `ray start --head`"
    ):
        on_ray.RayRunner("host:1")


def test_a_cluster_without_room():
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match=r"No node has 999 CPU for a point\. There are: \d+ CPU\."):
        on_ray.RayRunner(cpus=999)


def test_nodes_that_differ_are_told(monkeypatch):
    pytest.importorskip("ray")
    assert "has padless 0.1.0, the sweep 9.9. Install the same." in _call("os:getpid", {}, 1, "9.9", ".")["error"]
    monkeypatch.setitem(sys.modules, "padless.sweep.runner", None)
    assert "Install what the sweep was started with, on every node." in _call("os:getpid", {}, 1, "0.1.0", ".")["error"]
