"""Oracles, the pool that runs them and the cache that remembers them."""

import dataclasses
import os
import signal
import sqlite3
import sys
import threading
import time
from importlib.metadata import EntryPoint

import pytest
from layers import layer

from padless.cost import Answer, Source, oracles
from padless.cost.ask import Asked
from padless.cost.cache import Cache, key_of
from padless.cost.oracles import default_oracle, open_oracle
from padless.cost.pool import Pool
from padless.errors import OracleError, UsageError
from padless.graph import LayerShape
from padless.hardware import load_target

GEMMINI = load_target("gemmini-16")
U55 = load_target("ethos-u55-256")


class Counting:
    """An oracle that notes what it was asked; a layer of 13 outputs breaks it."""

    def __init__(self, key: str | None = "counting") -> None:
        self.asked: list[LayerShape] = []
        self.closed = False
        if key:
            self.key = key

    def __call__(self, shapes):
        for shape in shapes:
            self.asked.append(shape)
            if shape.c_out == 13:
                raise OracleError("it broke")
            yield Answer(
                source=Source(oracle="counting", version="1"), total=shape.macs, npu=shape.macs // 2, energy_pj=0.5
            )

    def close(self):
        self.closed = True


# --- asking -------------------------------------------------------------------------------------------------------------


def test_equal_shapes_are_asked_once_and_kept_on_disk():
    layers = [layer(8, 8), layer(8, 16), layer(8, 8)]
    oracle = Counting()
    first = Asked(oracle)(layers)
    assert oracle.asked == [layers[0].shape, layers[1].shape]
    assert [a.total for a in first] == [ly.macs for ly in layers]
    again = Counting()
    assert Asked(again)(layers) == first
    assert again.asked == []
    other = Counting(key="another setting")
    Asked(other)(layers)
    assert len(other.asked) == 2


def test_an_oracle_without_a_key_is_not_kept():
    Asked(Counting(key=None))([layer(8, 8)])
    again = Counting(key=None)
    asked = Asked(again)
    asked([layer(8, 8)])
    asked([layer(8, 8)])
    assert len(again.asked) == 1
    asked.close()
    assert again.closed


def test_a_failure_names_the_layer_and_keeps_what_came_before():
    broken = dataclasses.replace(layer(8, 13), name="features.3")
    with pytest.raises(OracleError, match="Layer features.3: it broke"):
        Asked(Counting())([layer(8, 8), broken, layer(8, 16)])
    again = Counting()
    Asked(again)([layer(8, 8)])
    assert again.asked == []


# --- the cache ----------------------------------------------------------------------------------------------------------


def test_a_key_hashes_everything():
    assert key_of("a", 1) == key_of("a", 1) != key_of("a", 2)
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


def test_a_damaged_cache_is_built_anew_with_a_warning(tmp_path):
    cache = Cache(tmp_path)
    cache.put({"a": {"x": 1}, "b": [2]})
    assert cache.get(["a", "b", "c"]) == {"a": {"x": 1}, "b": [2]}
    cache.close()
    (tmp_path / "costs.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.warns(UserWarning, match=r"costs.sqlite was damaged \(file is not a database\) and is built anew"):
        assert Cache(tmp_path).get(["a"]) == {}
    fresh = Cache(tmp_path)
    fresh.put({"a": 3})
    assert fresh.get(["a"]) == {"a": 3}


def test_a_row_that_was_not_asked_for_is_damage_too(tmp_path):
    """As it comes from a file that was copied without its write-ahead log; here by a table that ignores case."""
    with sqlite3.connect(tmp_path / "costs.sqlite") as database:
        database.execute("CREATE TABLE answers (key TEXT COLLATE NOCASE PRIMARY KEY, value TEXT)")
        database.execute("INSERT INTO answers VALUES ('A', '1')")
    with pytest.warns(UserWarning, match=r"damaged \(rows out of place\)"):
        assert Cache(tmp_path).get(["a"]) == {}


def test_a_damaged_entry_is_damage_too(tmp_path):
    Cache(tmp_path).put({"a": 1})
    with sqlite3.connect(tmp_path / "costs.sqlite") as database:
        database.execute("UPDATE answers SET value = '{'")
    with pytest.warns(UserWarning, match="was damaged"):
        assert Cache(tmp_path).get(["a"]) == {}


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "folder")
    with pytest.warns(UserWarning, match="cannot be used: .*. Costs are asked anew"):
        cache.put({"a": 1})
    assert cache.get(["a"]) == {}
    (tmp_path / "costs.sqlite").mkdir()
    with pytest.warns(UserWarning, match="cannot be used: unable to open database file. Costs are asked anew"):
        assert Cache(tmp_path).get(["a"]) == {}


def test_an_empty_variable_keeps_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("PADLESS_CACHE", "")
    cache = Cache()
    cache.put({"a": 1})
    assert cache.get(["a"]) == {}
    monkeypatch.delenv("PADLESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cache().file.name == "costs.sqlite"


# --- the pool -----------------------------------------------------------------------------------------------------------

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


# --- choosing one -------------------------------------------------------------------------------------------------------


def test_the_best_oracle_of_a_target():
    assert default_oracle(U55) == "vela"
    assert default_oracle(load_target("ethos-u55-256@int16w8")) is None
    assert default_oracle(GEMMINI) == "ceil"
    assert default_oracle(load_target("hexagon-htp")) is None


def test_an_unknown_oracle():
    with pytest.raises(UsageError, match="No oracle is called 'vella'. Did you mean vela"):
        open_oracle("vella", U55)


def outside(target, argument, *, system_config, memory_mode):
    return lambda shapes: [
        Answer(source=Source(oracle="outside", device=f"{target.id} {argument} {system_config}"), total=7, npu=7)
        for _ in shapes
    ]


def test_an_oracle_of_another_package(monkeypatch):
    entry = EntryPoint(name="outside", value="test_oracles:outside", group="padless.oracles")
    monkeypatch.setattr(oracles, "entry_points", lambda group: [entry] if group == "padless.oracles" else [])
    oracle = open_oracle("outside with words", GEMMINI, system_config="fast")
    assert Asked(oracle)([layer(8, 8)])[0].source.device == "gemmini-16 with words fast"
    with pytest.raises(UsageError, match="Did you mean outside"):
        open_oracle("outsid", GEMMINI)


# --- simulators ---------------------------------------------------------------------------------------------------------


def test_scalesim_counts_folds():
    """Weight stationary: each fold of the weights takes its pixels and the array's filling and draining."""
    pytest.importorskip("scalesim", reason="the extra scalesim is not installed")
    oracle = open_oracle("scalesim", GEMMINI)
    shapes = [layer(20, 17, kernel=3, hw=4).shape, layer(12, 12, kind="depthwise", groups=12, hw=4).shape]
    plain, depthwise = oracle(shapes)
    oracle.close()
    folds = -(-20 * 9 // 16) * 2
    assert plain.total == plain.npu == folds * (16 + 16 + 16 + 16 - 2) - 1
    assert depthwise.total == 12 * (1 * (16 + 16 + 16 + 16 - 2) - 1)
    assert str(plain.source) == "SCALE-Sim 3.0.0, weight-stationary 16x16 array, memories never stall it"


def test_zigzag_knows_energy():
    pytest.importorskip("zigzag", reason="the extra zigzag is not installed")
    oracle = open_oracle("zigzag 16x16", U55)
    narrow, wide, grouped = oracle(
        [layer(32, 16, hw=4).shape, layer(32, 17, hw=4).shape, layer(64, 32, 3, "grouped", 2, 4).shape]
    )
    oracle.close()
    assert (narrow.npu, wide.npu) == (16 * 9 * 2, 16 * 9 * 2 * 2)
    assert narrow.total < wide.total and 0 < narrow.energy_pj < wide.energy_pj
    assert (grouped.total, grouped.energy_pj) == (2 * narrow.total, 2 * narrow.energy_pj)


@pytest.mark.parametrize(
    ("spec", "target", "message"),
    [
        ("scalesim 16", GEMMINI, "'16' is no array. Write scalesim 16x16: rows"),
        (
            "scalesim",
            U55,
            "ethos-u55-256 has an array of 4 pixels x 8 outputs x 8 inputs; scalesim simulates arrays of",
        ),
        ("zigzag", load_target("hexagon-htp"), "hexagon-htp has no known MAC array; .* Say which: zigzag 16x16"),
    ],
)
def test_arrays_that_cannot_be_simulated(spec, target, message):
    pytest.importorskip(spec.split(" ")[0])
    with pytest.raises(UsageError, match=message):
        open_oracle(spec, target)


def test_settings_that_an_oracle_does_not_have():
    for spec, message in (
        ("scalesim", "knows no system configurations"),
        ("ceil", "takes no argument, system"),
        ("onnxruntime", "takes no argument, system"),
        ("./m {cin} {cout}", "write them into it"),
        ("csv x.csv", "without system or memory mode"),
    ):
        with pytest.raises(UsageError, match=message):
            open_oracle(spec, GEMMINI, memory_mode="Sram_Only")


def test_a_failing_simulator(monkeypatch):
    pytest.importorskip("scalesim")
    oracle = open_oracle("scalesim", GEMMINI)
    monkeypatch.setattr(oracle, "question", lambda shape: {})
    with pytest.raises(OracleError, match="SCALE-Sim failed: KeyError"):
        list(oracle([layer(8, 8).shape]))
    oracle.close()


# --- latency on this processor ------------------------------------------------------------------------------------------


def test_latency_of_this_processor():
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    oracle = open_oracle("onnxruntime", GEMMINI)
    shapes = [layer(8, 8).shape, layer(256, 256, hw=16).shape, layer(16, 16, kind="depthwise", groups=16).shape]
    small, large, depthwise = oracle(shapes)
    assert 0 < small.total < large.total  # by a factor of a thousand in MACs
    assert depthwise.total > 0
    assert small.source.unit == "ns" and "one thread, median of 21" in str(small.source)
    with pytest.raises(OracleError, match="ONNX has no quantised form of"):
        list(oracle([dataclasses.replace(shapes[0], transposed=True)]))


def test_a_layer_that_onnx_runtime_refuses():
    pytest.importorskip("onnxruntime")
    impossible = dataclasses.replace(layer(8, 8).shape, groups=3)
    with pytest.raises(OracleError, match="ONNX Runtime cannot run conv 3x3 8→8 on a 16x16 map"):
        list(open_oracle("onnxruntime", GEMMINI)([impossible]))


# --- a table of one's own -----------------------------------------------------------------------------------------------

TABLE = """h,w,cin,cout,k,groups,ms
16,16,8,8,3,1,1.0
16,16,8,16,3,1,2.0
16,16,16,8,3,1,3.0
16,16,16,16,3,1,4.0
16,16,8,8,3,8,0.5
16,16,24,24,3,24,1.5
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "costs.csv"
    path.write_text(TABLE)
    return path


def test_a_table(table):
    oracle = open_oracle(f"csv {table}", GEMMINI)
    assert [a.total for a in oracle([layer(8, 16).shape, layer(24, 24, 3, "depthwise", 24).shape])] == [
        2_000_000,
        1_500_000,
    ]
    assert oracle.source.unit == "ns"
    with pytest.raises(
        OracleError, match="has no row for conv 3x3 8→12 on a 16x16 map. Add it, or allow .* 'csv FILE interpolate'"
    ):
        oracle([layer(8, 12).shape])
    with pytest.raises(OracleError, match="square kernels only"):
        oracle([dataclasses.replace(layer(8, 8).shape, kernel=(1, 3))])


def test_widths_between_those_of_a_table(table):
    oracle = open_oracle(f"csv {table} interpolate", GEMMINI)
    shapes = [layer(8, 12).shape, layer(12, 16).shape, layer(12, 12).shape, layer(16, 16, 3, "depthwise", 16).shape]
    assert [a.total for a in oracle(shapes)] == [1_500_000, 3_000_000, 2_500_000, 1_000_000]
    assert "interpolated" in str(oracle.source)
    for outside in (layer(8, 24), layer(4, 4), layer(8, 8, kernel=1), layer(20, 20)):
        with pytest.raises(OracleError, match="has no rows around .* to interpolate between"):
            oracle([outside.shape])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b\n1,2\n",
            "has the columns a, b. Needed: h, w, cin, cout, k and one of cycles, ns, us, ms; where not 1: stride",
        ),
        ("", "has the columns none"),
        ("h,w,cin,cout,k,cycles,ns\n", "and one of cycles"),
        ("h,w,cin,cout,k,cycles\n1,1,1,x,1,5\n", "line 2: whole numbers and a cost of 0 or more are expected"),
        ("h,w,cin,cout,k,cycles\n1,1,1,1,1,-5\n", "line 2: whole numbers and a cost"),
        ("h,w,cin,cout,k,cycles\n1,1,1\n", "line 2: whole numbers"),
    ],
)
def test_a_table_that_is_none(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        open_oracle(f"csv {path}", GEMMINI)


def test_a_table_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="Cannot read the cost table none.csv: No such file"):
        open_oracle("csv none.csv", GEMMINI)
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UsageError, match="is no text in UTF-8"):
        open_oracle(f"csv {tmp_path / 't.csv'}", GEMMINI)
    with pytest.raises(UsageError, match="Write --oracle 'csv FILE'"):
        open_oracle("csv", GEMMINI)


# --- a command of one's own ---------------------------------------------------------------------------------------------


def test_a_command(tmp_path):
    program = tmp_path / "board.py"
    program.write_text(
        "import sys; print('measured', *map(int, sys.argv[1:])); print(eval('*'.join(sys.argv[1:])) / 2)\n"
    )
    spec = f"{sys.executable} {program} {{h}} {{w}} {{cin}} {{cout}} {{k}} {{stride}} {{groups}}"
    oracle = open_oracle(spec, GEMMINI)
    assert next(oracle([layer(8, 16, hw=5).shape])).total == 5 * 5 * 8 * 16 * 3 // 2
    assert oracle.key == f"command {spec}"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sh -c 'exit 3' {cin} {cout}", "ended with code 3 and printed 'nothing'; a number was expected"),
        ("echo hello {cin}x{cout}", "ended with code 0 and printed 'hello 8x8'"),
        ("./no-such-program {cin} {cout}", "Cannot run ./no-such-program: No such file or directory"),
    ],
)
def test_a_command_that_fails(command, message):
    with pytest.raises(OracleError, match=message):
        list(open_oracle(command, GEMMINI)([layer(8, 8).shape]))


def test_a_command_that_never_ends():
    oracle = oracles.open_oracle("sleep 20 {cin} {cout}", GEMMINI)
    oracle._timeout = 0.2
    with pytest.raises(OracleError, match="sleep 20 8 8 took more than 0.2 s"):
        list(oracle([layer(8, 8).shape]))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("command ./m {h} {cin}", "names no widths. Write {cin} and {cout} into it"),
        ("./m {width} {cin} {cout}", r"Cannot read the command .*KeyError: 'width'.*It may hold {h}, {w}, {cin}"),
        ("./m '{cin} {cout}", "Cannot read the command"),
    ],
)
def test_a_command_that_cannot_be_meant(spec, message):
    with pytest.raises(UsageError, match=message):
        open_oracle(spec, GEMMINI)


def test_a_command_is_not_asked_about_oblong_kernels():
    with pytest.raises(OracleError, match="square kernels and strides only"):
        list(open_oracle("echo {cin} {cout}", GEMMINI)([dataclasses.replace(layer(8, 8).shape, kernel=(1, 3))]))
