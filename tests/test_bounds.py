"""What is read has bounds: numbers that cannot be meant, files without an end, programs that do not end."""

import io
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from checks.summaries import summary
from models.layers import layer
from models.networks import Small, small
from PIL import Image
from safetensors.torch import save_file

import padless
from padless import Choices, Plan, load_target, load_weights, plan
from padless.calls import check_finite
from padless.choose.frontier import FrontierPoint
from padless.cost import Answer, CachedOracle, Source
from padless.cost.cache import FORMAT, Cache, _row
from padless.cost.oracle import MOST
from padless.cost.oracles import open_oracle
from padless.cost.oracles.table import read_table
from padless.errors import OracleError, UsageError
from padless.files import regular
from padless.hardware.vela_ini import REFERENCES, VelaIni
from padless.importance import importance
from padless.inputs import places
from padless.pool import Pool, patience
from padless.pool.command import KEPT, PRINTED, run_program
from padless.report.frontier import draw_frontier
from padless.report.summary import FILE, Summary
from padless.runs.export import Handover
from padless.train.fabric import CORES, make_fabric

X = torch.zeros(1, 3, 16, 16)
UNIT = load_target("unit:8")


# --- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "what"), [(math.nan, "NaN"), (math.inf, "infinity")])
def test_weights_that_are_not_finite_are_named_before_anything_is_scored(tmp_path, value, what):
    model = small()
    with torch.no_grad():
        model.stem.weight[0, 0, 0, 0] = value
    told = f"The network holds {what} in stem.weight: 1 of 432 numbers are not finite"
    with pytest.raises(UsageError, match=told):
        plan(model, X, target="unit:8", budget="macs=60%")
    with pytest.raises(UsageError, match=told):
        importance(padless.trace(model, X), model)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    fresh = small()
    before = {name: tensor.clone() for name, tensor in fresh.state_dict().items()}
    with pytest.raises(UsageError, match=f"w.safetensors holds {what} in stem.weight"):
        load_weights(fresh, tmp_path / "w.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in fresh.state_dict().items())


def test_large_weights_whose_sum_is_infinite_are_finite():
    model = torch.nn.Linear(4, 4)
    torch.nn.init.constant_(model.weight, 3e38)
    assert not bool(model.weight.sum().isfinite())
    check_finite(model)


def test_running_statistics_count_and_masks_do_not():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.BatchNorm2d(16), torch.nn.Conv2d(16, 4, 1)).eval()
    model.register_buffer("mask", torch.full((2,), -math.inf))
    assert plan(model, X, target="unit:8", budget="macs=60%").keep
    model[1].running_var[3] = math.nan
    with pytest.raises(UsageError, match="NaN in 1.running_var: 1 of 16"):
        plan(model, X, target="unit:8", budget="macs=60%")


@pytest.mark.parametrize(
    ("dtype", "told"),
    [(torch.int32, "whole numbers"), (torch.complex64, "complex64 numbers"), (torch.bool, "whole numbers")],
)
def test_numbers_of_another_kind_are_no_weights(tmp_path, dtype, told):
    save_file({name: tensor.to(dtype) for name, tensor in Small().state_dict().items()}, tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match=f"another kind:\n  .*: the file has {told}, the model floating point"):
        load_weights(Small(), tmp_path / "w.safetensors")
    save_file({name: tensor.half() for name, tensor in Small().state_dict().items()}, tmp_path / "h.safetensors")
    load_weights(Small(), tmp_path / "h.safetensors")


# --- costs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cost", [-1, math.nan, math.inf, MOST, -0.6])
def test_an_oracle_that_answers_no_cost_is_named(cost):
    with pytest.raises(UsageError, match="The oracle answered .*for layer"):
        CachedOracle(lambda shapes: [cost] * len(shapes)).shapes([layer(8, 8).shape])
    source = Source(oracle="mine")
    with pytest.raises(
        UsageError, match=r"answered npu .* for layer .*; expected a number from 0 to 9,007,199,254,740,992"
    ):
        CachedOracle(lambda shapes: [Answer(source=source, total=1, npu=cost)]).shapes([layer(8, 8).shape])


@pytest.mark.parametrize("printed", ["-5", "nan", "inf", "1e300", "x"])
def test_a_command_that_prints_no_cost(printed):
    with pytest.raises(OracleError, match="a number from 0 up was expected"):
        list(open_oracle(f"echo {{cin}} {{cout}} {printed}", UNIT)([layer(8, 8).shape]))


HEAD = "h,w,cin,cout,k,kh,kw,groups,cycles\n"


@pytest.mark.parametrize(
    ("rows", "told"),
    [("8,8,8,8,3,,,1,-1\n", "line 2: whole numbers from 1 up and a cost from 0"),
     ("8,8,8,8,3,,,1,inf\n", "line 2: whole numbers from 1 up"),
     ("8,8,8,8,3,,,1,1e17\n", "line 2: whole numbers from 1 up"),
     ("8,8,0,8,3,,,1,5\n", "line 2: whole numbers from 1 up"),
     ("8,8,8,8,3,5,5,1,5\n", "line 2: whole numbers from 1 up"),  # k and kh contradict each other
     ("8,8,8,8,3,,,1,5\n8,8,8,8,,3,3,1,6\n", "line 3: an earlier line has the same layer with another cost"),
     (f"8,8,8,8,{'3' * 200_000},,,1,5\n", "is no table: field larger than field limit")],
)  # fmt: skip
def test_tables_that_contradict_themselves_or_cannot_be_meant(tmp_path, rows, told):
    (tmp_path / "t.csv").write_text(HEAD + rows)
    with pytest.raises(UsageError, match=told):
        read_table(tmp_path / "t.csv")


def test_a_table_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + (HEAD + "8,8,8,8,3,,,1,7\n").encode())
    assert list(read_table(tmp_path / "t.csv").by_setting.values()) == [{(8, 8): 7.0}]


# --- plans and summaries ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"digest": "0"}, "digest: String should match pattern"),
     ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
     ({"zeros": {"stem": 10**9}}, "zeros.stem: Input should be less than or equal to 4096"),
     ({"example_shapes": []}, "example_shapes: List should have at least 1 item"),
     ({"example_shapes": [[1, 3, 10**12, 16]]}, "example_shapes.0.2: Input should be less than or equal to 268435456"),
     ({"example_shapes": [[1, 3, 10**6, 10**6]]}, "3,000,000,000,000 elements is too large; at most 268,435,456"),
     ({"example_shapes": [[1] * 9]}, "example_shapes.0: List should have at most 8 items"),
     ({"example_types": ["load"]}, "torch has no type 'load'"),
     ({"example_types": ["float32"] * 2}, "example_types: 2 types for 1 shapes"),
     ({"example_structure": "[7]"}, "example_structure: it does not number the 1 inputs"),
     ({"example_structure": "[" * 9000}, "expected a JSON list of the arguments, of at most 10,000 letters"),
     ({"example_structure": "[true]"}, "expected a JSON list of the arguments"),
     ({"example_structure": '[{"a": ["set", 0]}]'}, "expected a JSON list of the arguments"),
     ({"importance_kept": math.nan}, "importance_kept: Input should be a finite number")],
)  # fmt: skip
def test_a_plans_fields_have_bounds(changes, told):
    made = json.loads(plan(small(), X, target="unit:8", budget="macs=60%").to_json())
    with pytest.raises(UsageError, match=f"plan is not a padless plan: .*{told}"):
        Plan.from_json(json.dumps({**made, **changes}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"weights_digest": "x"}, "weights_digest: String should match"), ({"inputs": []}, "inputs: Tuple should have at least 1"),
     ({"seed": 1 << 70}, "seed: "), ({"steps": -1}, "steps: "), ({"floor": 2.0}, "floor: "), ({"calibration": 1 << 40}, "calibration: ")],
)  # fmt: skip
def test_a_summarys_fields_have_bounds(tmp_path, changes, told):
    (tmp_path / FILE).write_text(json.dumps({**json.loads(summary().to_json()), **changes}))
    with pytest.raises(UsageError, match=f"does not hold a run: {told}"):
        Summary.read(tmp_path)


def test_a_loss_that_is_no_number_can_be_read_again(tmp_path):
    told = summary(importance_kept=math.nan)
    (tmp_path / FILE).write_text(told.to_json())
    assert math.isnan(Summary.read(tmp_path).importance_kept)


@pytest.mark.parametrize("shape", ["1,3,100000,100000", ",".join("1" * 9)])
def test_inputs_have_bounds(run, shape):
    code, _, err = run("inspect", "models.networks:Small", "--target", "unit:8", "--input-shape", shape)
    assert code == 2 and "is too large: 268,435,456 elements and 8 axes at most" in " ".join(err.split())


@pytest.mark.parametrize(
    "words",
    [
        ("prune", "--budget", "macs=50%", "--steps", "1000"),
        ("plan", "--pareto", "100000"),
        ("probe", "--max", "100000"),
    ],
)
def test_steps_points_and_widths_have_bounds(run, words):
    model = [] if words[0] == "probe" else ["models.networks:Small"]
    code, _, err = run(words[0], *model, "--target", "unit:8", *words[1:])
    assert code == 2 and "should be less than or equal to" in " ".join(err.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [(("prune", "--budget", "macs=50%", "--data", "digits", "--calibration", "9999999999"), "calibration is from 2 to 1,000,000,000; got 9999999999"),
     (("prune", "--budget", "macs=50%", "--data", "digits", "--epochs", "9" * 20), "epochs is from 0 to 1,000,000; got 99999999999999999999"),
     (("prune", "--budget", "macs=50%", "--data", "digits", "--regularize", "1000001"), "regularize is from 0 to 1,000,000; got 1000001")],
)  # fmt: skip
def test_numbers_of_a_prune_are_refused_before_the_work(run, words, told, tmp_path, monkeypatch):
    monkeypatch.setattr("padless.runs.prune.open_dense", lambda job: 1 // 0)  # nothing is begun
    code, _, err = run(words[0], "models.networks:Small", "--target", "unit:8", "--out", "run", *words[1:])
    assert code == 2 and told in " ".join(err.split()) and not (tmp_path / "run").exists()


def test_an_exports_images_have_bounds():
    with pytest.raises(UsageError, match="calibration is from 2 to 1,000,000,000; got 1"):
        Handover(calibration=1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"epochs": 10**21}, "epochs is from 1 to 1,000,000; got 10+"), ({"batch": 0}, "batch is from 1 to 1,048,576; got 0"),
     ({"seed": 1 << 70}, "seed is from 0 to "), ({"peak_lr": 1e300}, "peak_lr is above 0, and at most 1,000,000; got 1e.300"),
     ({"temperature": math.nan}, "temperature is above 0"), ({"clip": math.inf}, "clip is from 0 to 1,000,000; got inf"),
     ({"mixup": -0.1}, "mixup is from 0 to 1,000,000; got -0.1"), ({"ema": 1.5}, "ema is from 0 to 1; got 1.5")],
)  # fmt: skip
def test_a_recipes_numbers_have_bounds(changes, told):
    with pytest.raises(UsageError, match=f"A recipe's {told}"):
        padless.Recipe(**changes)


def test_the_memory_of_a_point_has_bounds(run):
    code, _, err = run("sweep", "g.toml", "--out", "o", "--memory", f"{'9' * 400}GiB")
    assert code == 2 and "is more than any machine has. Give a number of bytes" in " ".join(err.split())


def test_references_of_an_ini_have_bounds():
    text = "[System_Config.A]\ncore_clock=1e6\n" + "".join(f"a{i}=%(a{i + 1})s%(a{i + 1})s\n" for i in range(9))
    with pytest.raises(UsageError, match=f"at most 1,048,576 characters and {REFERENCES} references"):
        VelaIni.read(text)


def test_messages_have_bounds():
    with pytest.raises(UsageError, match="^A recipe's schedule is one-cycle or cosine; got 'x+ … x+") as caught:
        padless.Recipe(schedule="x" * 100_000)
    assert 20_000 <= len(str(caught.value)) <= 20_010


# --- files -----------------------------------------------------------------------------------------------------------


def test_what_has_no_end_is_not_read(run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a pipe or a device"):
        regular(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a folder"):
        regular(tmp_path)
    (tmp_path / "a").write_text("12345")
    with pytest.raises(OSError, match="it has 5 bytes, and 4 are read at most"):
        regular(tmp_path / "a", 4)
    os.mkfifo(tmp_path / "t.toml")
    os.mkfifo(tmp_path / "plan.json")
    for words in (
        ("--weights", "pipe"), ("--target", "t.toml"), ("--oracle", "csv pipe"), ("--vela-config", "pipe", "--target", "ethos-u55-64")
    ):  # fmt: skip
        target = () if "--target" in words else ("--target", "unit:8")
        code, _, err = run("inspect", "models.networks:Small", *target, *words)
        assert code == 2 and "it is a pipe or a device" in " ".join(err.split()), err
    with pytest.raises(UsageError, match="No plan at .*plan.json .it is a pipe or a device"):
        Plan.read(tmp_path / "plan.json")


@pytest.mark.parametrize(
    ("words", "told"),
    [(("inspect", "models.networks:Small", "--json", "folder"), "folder is a folder. Give the name of a file."),
     (("inspect", "models.networks:Small", "--roofline", "file/x.html"), "file/x.html cannot be written: "),
     (("plan", "models.networks:Small", "--png", "x.gif"), "x.gif ends in .gif; expected png, svg"),
     (("probe", "--png", "x.docx"), "x.docx ends in .docx; expected png, svg"),
     (("probe", "--json", "folder"), "folder is a folder"),
     (("plan", "models.networks:Small", "--json", "file/x.json"), "is no folder that you may write to")],
)  # fmt: skip
def test_where_output_goes_is_checked_before_the_work(run, tmp_path, words, told, monkeypatch):
    pytest.importorskip("matplotlib", reason="the extra plots is not installed")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    for module in ("model", "family", "probe"):  # nothing is begun
        monkeypatch.setattr(f"padless.cli.{module}.load_target", lambda *_, **__: 1 // 0)
    code, _, err = run(*words, "--target", "unit:8")
    assert code == 2 and told in " ".join(err.split())


def test_a_title_is_no_formula(tmp_path):
    pytest.importorskip("matplotlib", reason="the extra plots is not installed")
    point = FrontierPoint(share=0.5, cost=5, importance_kept=0.5, gap=0.0, seconds=0.0, widths={"a": 8})
    draw_frontier([point], "macs", tmp_path / "x.SVG", "a$_{b$ [/x]")
    assert "svg" in (tmp_path / "x.SVG").read_text()


def test_a_whole_file_system_is_no_folder_of_images(tmp_path, monkeypatch):
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text("")
    monkeypatch.setattr(places, "MOST", 3)
    with pytest.raises(UsageError, match="holds more than 3 files. Give the folder of the images"):
        padless.load_images(str(tmp_path), shape=(3, 8, 8))


def test_bombs_are_not_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((64, 3, 16, 16)))
    monkeypatch.setattr("padless.inputs.decode._bytes_of_memory", lambda name: 1 << 16)
    with pytest.raises(
        UsageError, match="x.npz takes 0.0 GiB unpacked; this machine has 0.0 GiB of memory. Give images as files"
    ):
        padless.load_images(str(tmp_path / "x.npz"), shape=(3, 16, 16))
    parquet, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    for split in ("train", "test"):
        parquet.write_table(pa.table({"img": [b"0" * 40_000] * 4, "label": [0] * 4}), tmp_path / f"{split}.parquet")
    with pytest.raises(UsageError, match="GiB unpacked"):
        padless.load_images(str(tmp_path), shape=(3, 16, 16))


@pytest.mark.parametrize(
    ("cells", "told"),
    [([{"path": "/etc/passwd"}], "a struct with path, without bytes; expected the bytes of an image's file"),
     ([7], "of the images' column is a int"), (["a.png"], "is a str; expected the bytes"), ([b"no image"], "Image 0 of train cannot be read")],
)  # fmt: skip
def test_cells_of_parquet_that_are_no_images(tmp_path, cells, told):
    parquet, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    for split in ("train", "test"):
        parquet.write_table(pa.table({"img": cells, "label": [0]}), tmp_path / f"{split}.parquet")
    with pytest.raises(UsageError, match=told):
        padless.load_images(str(tmp_path), shape=(3, 16, 16))


def test_parquet_of_bare_bytes_is_read_and_labels_and_chunks_that_are_none_are_told(tmp_path):
    parquet, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(picture, "PNG")

    def write(labels):
        for split in ("train", "test"):
            parquet.write_table(
                pa.table({"img": [picture.getvalue()] * 2, "label": labels}), tmp_path / f"{split}.parquet"
            )
        return padless.load_images(str(tmp_path), shape=(3, 8, 8))

    assert write(pa.array([1, 0], pa.uint64())).train_labels.tolist() == [1, 0]
    with pytest.raises(UsageError, match="Image 0 of train has the label 9223372036854775808; expected a whole number"):
        write(pa.array([2**63, 0], pa.uint64()))
    write([1, 0])
    content = bytearray((tmp_path / "train.parquet").read_bytes())
    content[40:60] = b"x" * 20
    (tmp_path / "train.parquet").write_bytes(content)
    with pytest.raises(UsageError, match="Cannot read train.parquet in .*: Corrupt"):
        padless.load_images(str(tmp_path), shape=(3, 8, 8))


@pytest.mark.parametrize(
    ("train", "told"),
    [([(np.zeros((3, 8, 8)), 2**70)], "has the label 1180591620717411303424; expected a whole number"),
     ([(np.zeros((3, 8, 8)), np.uint64(2**63))], "expected a whole number"),
     ((torch.tensor(1), torch.tensor(2)), "a pair of a number alone; expected samples .N, .* and labels .N"),
     ([np.zeros((3, 8, 8), "S2")], "expected whole or floating point numbers"),
     ([np.zeros((3, 8, 8), complex)], "expected whole or floating point numbers")],
)  # fmt: skip
def test_samples_and_labels_that_cannot_be_meant(train, told):
    with pytest.raises(UsageError, match=told):
        padless.as_images(train, shape=(3, 8, 8))


@pytest.mark.parametrize("changes", [{"floor": "x"}, {"time_limit": None}, {"seed": 0.5}, {"freeze": 5}])
def test_choices_of_a_wrong_type(changes):
    with pytest.raises(UsageError, match=f"{next(iter(changes))} is a"):
        Choices(**changes)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(disk: Path) -> None:
    """Leave 8 KiB."""
    about = os.statvfs(disk)
    (disk / "ballast").write_bytes(bytes(about.f_bavail * about.f_frsize - (8 << 10)))


def test_a_full_disk_ends_in_one_message_and_leaves_the_old_run(run, small_disk, tmp_path):
    prune = (
        "prune",
        "models.networks:Small",
        "--input-shape",
        "1,3,16,16",
        "--target",
        "unit:8",
        "--out",
        str(small_disk / "run"),
    )
    fill(small_disk)
    code, _, err = run(*prune, "--budget", "macs=60%")
    assert code == 1 and "No space left on device" in err and len(err.strip().splitlines()) <= 3
    assert os.listdir(small_disk) == ["ballast"]
    (small_disk / "ballast").unlink()
    assert run(*prune, "--budget", "macs=60%")[0] == 0
    before = {p.name: p.read_bytes() for p in (small_disk / "run").iterdir()}
    fill(small_disk)
    for command in (
        (*prune, "--budget", "macs=50%"),
        ("export", str(small_disk / "run"), "--trust", "--format", "onnx"),
    ):
        code, _, err = run(*command)
        assert code == 1 and "No space left on device" in err, err
        assert {p.name: p.read_bytes() for p in (small_disk / "run").iterdir()} == before
        assert sorted(os.listdir(small_disk)) == ["ballast", "run"]


# --- programs --------------------------------------------------------------------------------------------------------


def gone(pid: int) -> bool:
    """Whether a process ends within five seconds."""
    for _ in range(50):
        about = Path(f"/proc/{pid}/stat")
        if not about.exists() or about.read_text().split()[2] == "Z":
            return True
        time.sleep(0.1)
    return False


def test_a_program_gets_no_input_and_its_output_is_read_whatever_it_is():
    done = run_program(
        [sys.executable, "-c", "import sys; print(len(sys.stdin.read())); sys.stdout.buffer.write(b'\\xff')"], 20
    )
    assert (done.code, done.out, done.err, done.stopped) == (0, "0\n\ufffd", "", "")


def test_a_child_that_keeps_the_output_open_does_not_hang_and_ends(tmp_path):
    started = time.monotonic()
    done = run_program(["sh", "-c", f"sleep 60 & echo $! > {tmp_path}/child; echo 5"], 30)
    assert (done.code, done.out) == (0, "5\n") and time.monotonic() - started < 10
    assert gone(int((tmp_path / "child").read_text()))


def test_a_program_that_does_not_end_is_stopped_with_all_that_it_started():
    started = time.monotonic()
    done = run_program(["sh", "-c", "sleep 60 | sleep 60"], 0.3)
    assert done.stopped == "took more than 0.3 s" and time.monotonic() - started < 10
    done = run_program(["sh", "-c", "yes"], 60)
    assert done.stopped == f"printed more than {PRINTED:,} bytes" and len(done.out) == KEPT


def test_how_long_an_oracle_may_take_is_an_option(run):
    before = patience.get()
    words = ("inspect", "models.networks:Small", "--target", "unit:8", "--oracle", "sleep 9 {cin} {cout} {k} {stride}")
    started = time.monotonic()
    code, _, err = run(*words, "--oracle-timeout", "0.3")
    assert (
        code == 1 and "took more than 0.3 s; it was stopped" in " ".join(err.split()) and time.monotonic() - started < 9
    )
    patience.set(before)


@pytest.mark.parametrize("word", ["{cin.__class__}", "{cin:9999999999}", "{cin!r}", "{cin[0]}", "{}"])
def test_a_commands_fields_are_names_alone(word):
    with pytest.raises(UsageError, match="Cannot read the command"):
        open_oracle(f"echo {{cin}} {{cout}} {word}", UNIT)


def test_a_name_with_a_zero_byte_is_no_program():
    with pytest.raises(OracleError, match="Cannot run"):
        list(open_oracle("a\0b {cin} {cout}", UNIT)([layer(8, 8).shape]))


WORKER = """
import subprocess, time
def answer(request, payload):
    child = subprocess.Popen(["sleep", "600"])
    time.sleep(600 if request["busy"] else 0)
    return {"child": child.pid}
"""


def test_workers_end_with_what_they_started_and_a_busy_one_can_be_killed(tmp_path):
    (tmp_path / "w.py").write_text(WORKER)
    with Pool(tmp_path / "w.py", "It", workers=1, timeout=1.0) as pool:
        child = pool.ask(({"busy": False}, b""), "it")["child"]
        started = time.monotonic()
        with pytest.raises(OracleError, match="It took more than 1 s for the second; it was stopped"):
            pool.ask(({"busy": True}, b""), "the second")
        assert time.monotonic() - started < 15
    assert gone(child)


STOPPED = """
import sys
from pathlib import Path
from padless.pool import Pool
with Pool(Path(sys.argv[1]), "It", workers=2) as pool:
    print("ready", flush=True)
    list(pool.map(lambda n: ({"busy": True}, b""), range(4), str))
"""


def test_a_ctrl_c_ends_busy_workers_at_once(tmp_path):
    (tmp_path / "w.py").write_text(
        WORKER.replace('["sleep", "600"]', f'["sh", "-c", "echo $$ >> {tmp_path}/children; exec sleep 600"]')
    )
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(tmp_path / "w.py")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    children = tmp_path / "children"
    for _ in range(1200):
        if children.exists() and len(children.read_text().split()) == 2:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate(timeout=120)[1]
    assert [gone(int(child)) for child in children.read_text().split()] == [True, True]


def test_an_ended_pool_answers_no_more(tmp_path):
    (tmp_path / "w.py").write_text(WORKER)
    pool = Pool(tmp_path / "w.py", "It", workers=1)
    pool.close()
    with pytest.raises(OracleError, match="It was ended before it answered for it"):
        pool.ask(({"busy": False}, b""), "it")


def test_more_devices_than_there_are():
    with pytest.raises(
        UsageError, match=rf"There are {CORES} device\(s\) of the kind cpu here; {CORES + 1} were asked for"
    ):
        make_fabric("cpu", CORES + 1)


# --- the cache -------------------------------------------------------------------------------------------------------


def test_rows_of_another_format_are_asked_again(tmp_path):
    Cache(tmp_path).put({"a": 1, "b": 2})
    with sqlite3.connect(tmp_path / "costs.sqlite") as database:
        (row,) = database.execute("SELECT value FROM answers WHERE key = 'a'").fetchone()
        assert row.startswith(f"{FORMAT} ")
        database.execute("UPDATE answers SET value = ? WHERE key = 'a'", (f"{FORMAT + 1}{row[1:]}",))
    assert Cache(tmp_path).get(["a", "b"]) == {"b": 2}


@pytest.mark.parametrize("stored", [{"total": -4}, {"more": 1}, {"source": None}, 3])
def test_answers_of_another_version_are_asked_again(tmp_path, stored):
    asked = []

    def mine(shapes):
        asked.extend(shapes)
        return [7] * len(shapes)

    mine.key = "mine"
    for _ in range(2):
        assert CachedOracle(mine, Cache(tmp_path)).shapes([layer(8, 8).shape])[0].total == 7
    assert len(asked) == 1
    with sqlite3.connect(tmp_path / "costs.sqlite") as database:
        ((key, old),) = database.execute("SELECT key, value FROM answers").fetchall()
        value = {**json.loads(old.split(" ", 2)[2]), **stored} if isinstance(stored, dict) else stored
        database.execute("UPDATE answers SET value = ?", (_row(key, json.dumps(value)),))
    assert CachedOracle(mine, Cache(tmp_path)).shapes([layer(8, 8).shape])[0].total == 7
    assert len(asked) == 2
