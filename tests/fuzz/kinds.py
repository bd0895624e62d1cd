"""Every kind of input: a function of a generator and a folder of its own, which hands something to padless.

It returns a word for what came of it, and raises what padless raises.
"""

import contextlib
import io
import json
import math
import os
import random
import sqlite3
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from checks.reports import report
from checks.summaries import summary
from models.layers import layer
from models.networks import Small, small
from safetensors.torch import save

import padless
from fuzz.mutate import NUMBERS, TEXTS, hostile, worse_bytes, worse_json, worse_text
from padless import (
    Budget,
    Choices,
    Plan,
    Preprocess,
    as_images,
    cli,
    load_images,
    load_onnx,
    load_target,
    load_weights,
    plan,
)
from padless.choose.replay import prune_with_error
from padless.cli.app import imported
from padless.cost import CachedOracle
from padless.cost.cache import Cache
from padless.cost.oracles import open_oracle
from padless.files import is_unfinished
from padless.hardware.target import CATALOGUE
from padless.inputs import parse_inputs, weights_digest
from padless.progress import Terminal
from padless.report.page import page
from padless.report.report import Report
from padless.report.summary import Summary
from padless.runs.trust import Repeated, believed, doubt_of
from padless.sweep.drive import status_of
from padless.sweep.gather import gathered
from padless.sweep.grid import read_grid
from padless.sweep.store import open_store
from padless.sweep.table import sweep_table
from padless.train import Checkpoints, Recipe, finetune

X = torch.zeros(1, 3, 16, 16)
Kind = Callable[[random.Random, Path], str]


class UncleanError(AssertionError):
    """What padless must not do."""


@cache
def base() -> tuple[torch.nn.Module, Plan, str]:
    """A network, a plan of it, and its digest before anything was tried."""
    torch.manual_seed(0)
    model = small()
    return model, plan(model, X, target="unit:8", budget="macs=60%"), weights_digest(model)


def plans(rng: random.Random, place: Path) -> str:
    model, made, before = base()
    try:
        prune_with_error(model, Plan.from_json(worse_json(rng, made.to_json())))
        return "accepted"
    finally:
        if weights_digest(model) != before:
            raise UncleanError("the caller's model was changed")


def summaries(rng: random.Random, place: Path) -> str:
    told = summary(
        model=rng.choice(["cifar10/resnet18", "mine:make", "x.onnx"]),
        data=rng.choice([None, "digits", "a/b"]),
        oracle=rng.choice([None, "ceil"]),
    )
    (place / "summary.json").write_text(worse_json(rng, told.to_json()), errors="replace")
    believed(place, Summary.read(place), Repeated(), prices=True, images=True)
    return "accepted"


def folders(rng: random.Random, place: Path) -> str:
    """A hostile run's folder through the commands."""
    _, made, _ = base()
    (place / "run").mkdir(exist_ok=True)
    told = summary(model="mine:make", data="digits", oracle="sh -c 'touch RAN' {cin} {cout} {k} {stride} {groups}")
    (place / "run" / "summary.json").write_text(worse_json(rng, told.to_json()), errors="replace")
    (place / "run" / "plan.json").write_text(worse_json(rng, made.to_json()), errors="replace")
    (place / "run" / "model.safetensors").write_bytes(worse_bytes(rng, weights()))
    return command(
        rng.choice([["finetune", "run", "--epochs", "1", "--out", "tuned"], ["export", "run", "--format", "onnx"]]),
        place,
    )


@cache
def weights() -> bytes:
    return save({name: tensor.contiguous() for name, tensor in small().state_dict().items()})


def safetensors(rng: random.Random, place: Path) -> str:
    model, file = Small(), place / "w.safetensors"
    before = weights_digest(model)
    if rng.random() < 0.5:
        size = int.from_bytes(weights()[:8], "little")
        head = worse_json(rng, weights()[8 : 8 + size].decode()).encode(errors="replace")
        file.write_bytes(len(head).to_bytes(8, "little") + head + weights()[8 + size :])
    else:
        file.write_bytes(worse_bytes(rng, weights()))
    try:
        load_weights(model, file)
    except Exception:
        if weights_digest(model) != before:
            raise UncleanError("a refused file changed the model") from None
        raise
    return "accepted"


@cache
def network() -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(small(), X, file, dynamo=False)
    return file.getvalue()


def onnx(rng: random.Random, place: Path) -> str:
    (place / "n.onnx").write_bytes(worse_bytes(rng, network()))
    load_onnx(place / "n.onnx")
    return "accepted"


GRID = """model = ["torchvision/resnet18", "cifar10/resnet18"]
target = ["ethos-u55-256", "unit:8"]
budget = ["macs=50%", ["cycles=60%", "sram=100KiB"]]
data = "digits"
[[grid]]
seed = [0, 1]
finetune.epochs = 3
finetune.augment = "none"
[[grid]]
work = "plan"
oracle = "ceil"
importance = "l1"
"""


def grids(rng: random.Random, place: Path) -> str:
    (place / "g.toml").write_bytes(worse_text(rng, GRID))
    for point, _ in read_grid(place / "g.toml", False):
        names = [("model", point.model), ("target", point.target), ("oracle", point.oracle), ("data", point.data)]
        if any(doubt_of(*name) for name in names):
            raise UncleanError(f"a grid was believed: {names}")
    return "accepted"


def rows(rng: random.Random, place: Path) -> str:
    """A hostile sweep's folder."""
    (place / "points").mkdir(exist_ok=True)
    for number in range(rng.choice([1, 2])):
        row = {
            "id": f"{number:016x}", "point": {"model": "m:f", "target": "unit:8", "budget": ["macs=50%"], "seed": number}, "status": "done",
            "before": {**summary().before, "macs": 1000, "accuracy": 90.0}, "importance_kept": 0.75, "folder": f"runs/{number:016x}",
            "after": dict(summary().after), "widths": {"a": [32, 16], "b": [8, 8]}, "gap": 0.0, "solver": "optimal",
            "met": True, "align": "unit", "seconds": 1.5, "host": "here", "attempts": 1,
        }  # fmt: skip
        (place / "points" / f"{number:016x}.json").write_text(worse_json(rng, json.dumps(row)), errors="replace")
    found = list(gathered(open_store(str(place)), csv=True).values())
    Terminal(file=io.StringIO()).print(sweep_table(found))
    status_of(place)
    return "accepted"


@cache
def made_report() -> str:
    return report().to_json()


def reports(rng: random.Random, place: Path) -> str:
    (place / "report.json").write_text(worse_json(rng, made_report()), errors="replace")
    page(summary(), Report.read(place))
    return "accepted"


@cache
def pictures() -> dict[str, bytes]:
    from PIL import Image

    pixels, files = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8), {}
    for ending, form in (
        ("png", "PNG"),
        ("jpg", "JPEG"),
        ("bmp", "BMP"),
        ("webp", "WEBP"),
        ("tif", "TIFF"),
        ("ppm", "PPM"),
    ):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, form)
        files[ending] = stream.getvalue()
    stream = io.BytesIO()
    np.save(stream, pixels)
    return {**files, "npy": stream.getvalue()}


def images(rng: random.Random, place: Path) -> str:
    for split in ("train", "test"):
        for name in "ab":
            folder = place / "data" / split / name
            folder.mkdir(parents=True, exist_ok=True)
            ending = rng.choice(list(pictures()))
            content = pictures()[ending]
            (folder / f"1.{ending}").write_bytes(content if rng.random() < 0.5 else worse_bytes(rng, content))
    odd = (
        place
        / "data"
        / rng.choice(["train", "test", "."])
        / rng.choice(["a", "c", ".hidden", "."])
        / rng.choice(["x.png", "y.npy", "z.parquet", "train.parquet"])
    )
    if rng.random() < 0.3 and odd.parent.is_dir() and not odd.exists():
        rng.choice(
            [
                lambda: os.mkfifo(odd),
                odd.mkdir,
                lambda: odd.symlink_to(odd),
                lambda: odd.symlink_to("/dev/zero"),
                odd.touch,
            ]
        )()
    load_images(str(place / "data"), shape=(rng.choice([1, 3]), 16, 16))
    return "accepted"


def arrays(rng: random.Random, place: Path) -> str:
    generator = np.random.default_rng(rng.randrange(1000))
    kind = rng.choice(["uint8", "float32", "int64", "complex64", "float16", "bool", "S4", "object"])
    values = generator.integers(
        0, 256, rng.choice([(4, 3, 16, 16), (4, 16, 16, 3), (4, 16), (0, 3, 16, 16), ()])
    ).astype(kind)
    labels = generator.integers(-1, 4, 4).astype(rng.choice(["int64", "uint64", "float32", "S3", "complex64"]))
    stream = io.BytesIO()
    if rng.random() < 0.5:
        np.save(stream, values, allow_pickle=True)
        file = place / "x.npy"
    else:
        np.savez(
            stream, **{rng.choice(["x_train", "train", "x"]): values, rng.choice(["y_train", "labels", "test"]): labels}
        )
        file = place / "x.npz"
    file.write_bytes(worse_bytes(rng, stream.getvalue()) if rng.random() < 0.7 else stream.getvalue())
    load_images(str(file), shape=(3, 16, 16))
    return "accepted"


def parquet(rng: random.Random, place: Path) -> str:
    import pyarrow as pa
    from pyarrow import parquet as pq

    png = pictures()["png"]
    column = rng.choice([
        [{"bytes": png, "path": None}] * 3, [png] * 3, [png] * 3, [{"path": "a.png"}] * 3, [{"bytes": None, "path": "/etc/passwd"}] * 3, [1, 2, 3],
        ["a", "b", "c"], [None] * 3, [{"bytes": worse_bytes(rng, png)}] * 3, [[1, 2]] * 3,
    ])  # fmt: skip
    labels = rng.choice(
        [
            [0, 1, 2],
            [0, 1, 2],
            [0, 1, 2],
            [0.0, 1.0, 0.5],
            ["a", "b", "c"],
            [None] * 3,
            [-1, 0, 1],
            [[1]] * 3,
            [2**63, 1, 0],
        ]
    )
    kind = pa.uint64() if labels[0] == 2**63 else None
    (place / "data").mkdir(exist_ok=True)
    for split in ("train", "test"):
        table = pa.table(
            {
                rng.choice(["img", "img", "image", "picture"]): pa.array(column),
                rng.choice(["label", "label", "labels", "y"]): pa.array(labels, kind),
            }
        )
        pq.write_table(table, place / "data" / f"{split}.parquet")
        if rng.random() < 0.3:
            file = place / "data" / f"{split}.parquet"
            file.write_bytes(worse_bytes(rng, file.read_bytes()))
    load_images(str(place / "data"), shape=(3, 16, 16))
    return "accepted"


def samples(rng: random.Random, place: Path) -> str:
    """Data sets of the user's own, in Python."""

    def sample():
        return rng.choice([
            torch.zeros(3, 16, 16), np.zeros((16, 16, 3), np.uint8), np.zeros((3, 16, 16)), torch.zeros(3, 16, 16, dtype=torch.uint8), None, "x.png",
            b"", pictures()["png"], 3, [], {}, object(), np.zeros((3, 16, 16), object), np.zeros((3, 16, 16), "S2"), torch.zeros(()), np.full((3, 16, 16), np.nan),
        ])  # fmt: skip

    def label():
        return rng.choice(
            [
                0,
                1,
                -1,
                None,
                "a",
                0.5,
                2**63,
                2**70,
                np.uint64(2**63),
                torch.tensor(1),
                torch.tensor([1, 2]),
                np.nan,
                True,
                [1],
            ]
        )

    pairs = (
        [(sample(), label()) for _ in range(rng.randrange(4))] if rng.random() < 0.7 else [sample() for _ in range(3)]
    )
    given = rng.choice(
        [
            pairs,
            tuple(pairs),
            iter(pairs),
            {"train": pairs},
            (torch.zeros(4, 3, 16, 16), torch.tensor([0, 1, 2, 3])),
            torch.zeros(0, 3, 16, 16),
            5,
        ]
    )
    as_images(given, rng.choice([None, None, pairs]), shape=(3, 16, 16))
    return "accepted"


TABLE = "h,w,cin,cout,k,stride,groups,cycles\n" + "".join(
    f"8,8,{c},{d},3,1,1,{c * d}\n" for c in (8, 16) for d in (8, 16)
)


def tables(rng: random.Random, place: Path) -> str:
    (place / "t.csv").write_bytes(worse_text(rng, TABLE))
    oracle = open_oracle(f"csv {place}/t.csv{rng.choice(['', ' interpolate'])}", load_target("unit:8"))
    CachedOracle(oracle).shapes([layer(c, 16, hw=8).shape for c in (8, 16)])
    return "accepted"


@cache
def catalogue() -> list[str]:
    return [path.read_text() for path in sorted(CATALOGUE.glob("*.toml"))]


def targets(rng: random.Random, place: Path) -> str:
    (place / "t.toml").write_bytes(worse_text(rng, rng.choice(catalogue())))
    load_target(str(place / "t.toml") + rng.choice(["", "", "@fp16", "@"]))
    return "accepted"


INI = """[System_Config.Mine]
core_clock=500e6
axi0_port=Sram
axi1_port=OffChipFlash
Sram_clock_scale=1.0
OffChipFlash_clock_scale=0.125
[Memory_Mode.Shared_Sram]
inherit=Memory_Mode.Base
const_mem_area=Axi1
[Memory_Mode.Base]
arena_mem_area=Axi0
cache_mem_area=Axi0
"""


def inis(rng: random.Random, place: Path) -> str:
    (place / "v.ini").write_bytes(worse_text(rng, INI))
    load_target("ethos-u55-64", vela_config=place / "v.ini")
    return "accepted"


def caches(rng: random.Random, place: Path) -> str:
    folder = place / "cache"
    folder.mkdir(exist_ok=True)
    Cache(folder).put({"a": 1, "b": {"c": 2}})
    file = folder / "costs.sqlite"
    if rng.random() < 0.5:
        with contextlib.closing(sqlite3.connect(file)) as database, database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file.write_bytes(worse_bytes(rng, file.read_bytes()))
    cache_ = Cache(folder)
    values = cache_.get(["a", "b"])
    cache_.put({"a": 1})
    cache_.close()
    if not values.items() <= {"a": 1, "b": {"c": 2}}.items():
        raise UncleanError(f"a damaged answer was believed: {values}")
    return "answered" if values else "asked again"


@cache
def few():
    pixels = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return as_images((pixels, torch.arange(8) % 4), (pixels, torch.arange(8) % 4), shape=(3, 16, 16))


@cache
def checkpoint() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        finetune(small(), few(), Recipe(epochs=1, batch=4), checkpoints=Checkpoints(Path(folder), 0.0))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def checkpoints(rng: random.Random, place: Path) -> str:
    folder = place / "training"
    folder.mkdir(exist_ok=True)
    for name, content in checkpoint().items():
        if name.endswith(".json"):
            content = worse_json(rng, content.decode()).encode(errors="replace")
        elif rng.random() < 0.3:
            content = worse_bytes(rng, content)
        (folder / name).write_bytes(content)
    torch.manual_seed(0)
    model = small()
    before = weights_digest(model)
    try:
        finetune(model, few(), Recipe(epochs=1, batch=4), checkpoints=Checkpoints(folder))
    except Exception:
        if weights_digest(model) != before:
            raise UncleanError("a refused checkpoint changed the model") from None
        raise
    return "accepted"


OPTIONS = [
    "--target",
    "--input-shape",
    "--weights",
    "--oracle",
    "--memory-oracle",
    "--system",
    "--memory-mode",
    "--vela-config",
    "--until",
    "--outputs",
]


def arguments(rng: random.Random, place: Path) -> str:
    words = ["inspect", "models.networks:Small", "--target", "unit:8", "--input-shape", "1,3,16,16"]
    for _ in range(rng.choice([1, 1, 2])):
        change = rng.randrange(4)
        text = str(rng.choice([*TEXTS[:-2], *map(str, NUMBERS)])).replace("\0", "\x01")
        if change == 0:
            words[1] = text
        elif change == 1:
            words[rng.choice([3, 5])] = text
        else:
            words += [rng.choice(OPTIONS), text]
    return command(words, place)


NETWORK = ["models.networks:Small", "--target", "unit:8", "--input-shape", "1,3,16,16"]
WORDS = {
    "probe": ["--target", "unit:8", "--oracle", "ceil", "--max", "64"],
    "inspect": NETWORK,
    "shapes": NETWORK,
    "plan": [*NETWORK, "--budget", "macs=60%"],
    "prune": [*NETWORK, "--budget", "macs=60%", "--data", "d.npz", "--recover", "none", "--out", "run"],
    "finetune": ["made", "--epochs", "1", "--batch", "8", "--distill", "0", "--data", "d.npz", "--out", "tuned"],
    "export": ["made", "--format", "onnx"],
    "report": ["made"],
    "sweep": ["g.toml", "--out", "swept"],
}
TAKES_LONG = {"--epochs": 2, "--regularize": 2, "--steps": 2, "--pareto": 3}  # what is tried of what is allowed
STARTS_PROCESSES = ("--devices", "--accelerator", "--jobs", "--address")


@cache
def valued_options() -> dict[str, list[tuple[str, bool]]]:
    """Of each command the options that take a value, and whether it is a number."""
    parameters = {
        name: [p for p in imported(name).params if p.param_type_name == "option" and not p.is_flag] for name in WORDS
    }
    return {
        name: [(p.opts[0], isinstance(p.default, int | float)) for p in found if p.opts[0] not in STARTS_PROCESSES]
        for name, found in parameters.items()
    }


@cache
def made_run() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_samples(place)
        if command(["prune", *WORDS["prune"]], place) != "accepted":
            raise UncleanError("the run that options are tried on could not be made")
        return {path.name: path.read_bytes() for path in (place / "run").iterdir()}


def write_samples(place: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 3, 16, 16), dtype=np.uint8)
    np.savez(place / "d.npz", x_train=pixels, y_train=np.arange(16) % 4, x_test=pixels[:8], y_test=np.arange(8) % 4)


def options(rng: random.Random, place: Path) -> str:
    """Every option of every command that works in this process, with a value that nobody expects."""
    name = rng.choice(list(WORDS))
    option, numeric = rng.choice(valued_options()[name])
    value = str(rng.choice(NUMBERS if numeric and rng.random() < 0.8 else [*TEXTS[:-2], *NUMBERS])).replace(
        "\0", "\x01"
    )
    with contextlib.suppress(ValueError):
        if TAKES_LONG.get(option, math.inf) < float(value) < 1 << 31:
            value = str(TAKES_LONG[option])
    if option == "--data" and (":" in value or "/" in value):
        value = "x"
    write_samples(place)
    (place / "made").mkdir()
    for file, content in made_run().items():
        (place / "made" / file).write_bytes(content)
    return command([name, *WORDS[name], f"{option}={value}"], place, own=True)


def texts(rng: random.Random, place: Path) -> str:
    """What options and Python arguments are parsed from."""
    good = rng.choice(
        [
            "cycles=50%",
            "latency=5ms",
            "sram=100KiB",
            "mean=0.5,std=0.5",
            "layout=nhwc,bgr",
            "1,3,16,16",
            "x=1,16:int64",
            "unit:16",
            "ethos-u55-256@int8",
            "ceil",
            "vela",
            "csv x.csv",
        ]
    )
    text = (
        worse_text(rng, good).decode("utf-8", errors="replace").rstrip("\n")
        if rng.random() < 0.7
        else str(rng.choice(TEXTS))
    )
    parse = rng.choice([
        Budget.parse, Preprocess.parse, lambda t: parse_inputs([t]), load_target, lambda t: open_oracle(t, load_target("unit:8")),
        lambda t: Choices(allocate=t), lambda t: Choices(floor=hostile(rng)), lambda t: Recipe(schedule=t), lambda t: padless.load_model(t),
        lambda t: load_images(t, shape=(3, 16, 16)) if ":" not in t and "/" not in t else None,
    ])  # fmt: skip
    parse(text)
    return "accepted"


def programs(rng: random.Random, place: Path) -> str:
    printed = rng.choice(
        ["5", "-5", "nan", "inf", "1e300", "", "a b", "\\377", "7 8", "\\0", "0x10", "1_000", "9" * 400]
    )
    end = rng.choice(["", "; exit 3", "; kill -9 $$", " >&2", "; sleep 9 & echo 4"])
    oracle = open_oracle(
        f"sh -c \"printf '{printed}'{end}\" {{cin}} {{cout}} {{k}} {{stride}} {{groups}}", load_target("unit:8")
    )
    CachedOracle(oracle, Cache(place)).shapes([layer(8, 16, hw=8).shape])
    return "accepted"


CODE = [
    "def make(): raise SystemExit(0)", "def make(): raise KeyError('x')", "def make(): return 5", "make = 5", "import nothing_such", "raise SystemExit",
    "def make(x): pass", "import sys\ndef make(): sys.exit('x')", "def make(): return nn.Conv2d(3, 8, 1)", "def make(): return nn.Sequential()",
    "class make(nn.Module):\n    def forward(self, x): raise SystemExit(3)", "class make(nn.Module):\n    def forward(self, x): return None",
    "class make(nn.Module):\n    def forward(self, x): return x / 0", "def make(): return make()", "def make(:", "class make(nn.Conv2d):\n    def __init__(self): super().__init__(3, 8, 3)\n    def forward(self, x): exit()",
    "class make(nn.Conv2d):\n    def __init__(self):\n        super().__init__(3, 8, 3)\n        self.weight.data.fill_(float('nan'))", "class make(nn.Module):\n    input_shape = 'x'", "import torch\ndef make(): return torch.jit",
]  # fmt: skip


def code(rng: random.Random, place: Path) -> str:
    name = f"mine_{rng.randrange(10**9)}"
    (place / f"{name}.py").write_text("from torch import nn\n" + rng.choice(CODE) + "\n")
    words = [f"{name}:make", "--target", "unit:8", "--input-shape", rng.choice(["1,3,16,16", "1,4,8,8", "1,3"])]
    return command(rng.choice([["inspect", *words], ["prune", *words, "--budget", "macs=50%", "--out", "run"]]), place)


def command(words: list[str], place: Path, own: bool = False) -> str:
    """A command in this process: its exit code. `own`: what runs is what the command line says."""
    out, err, before = io.StringIO(), io.StringIO(), (sys.argv, os.getcwd())
    os.chdir(place)
    sys.argv = ["padless", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
            code_ = 0
    except SystemExit as end:
        code_ = end.code if isinstance(end.code, int) else 1
    finally:
        sys.argv = before[0]
        os.chdir(before[1])
    if code_ not in (0, 1, 2):
        raise UncleanError(f"exit code {code_}")
    if code_ and not err.getvalue().strip():
        raise UncleanError(f"exit code {code_} without a word")
    if "Traceback" in err.getvalue():
        raise UncleanError(err.getvalue()[-2000:])
    if (place / "RAN").exists() and not own:
        raise UncleanError("a folder's command was run")
    left = [p.name for p in place.rglob("*") if is_unfinished(p) or p.name.endswith(".lock")]
    if left or ((place / "run").exists() and words[0] == "prune" and not (place / "run" / "plan.json").exists()):
        raise UncleanError(f"half-written: {left}")
    return {0: "accepted", 1: "failed with a message", 2: "refused"}[code_]


# How often each kind comes: fast ones more often.
KINDS: dict[Kind, int] = {
    plans: 8, summaries: 12, folders: 4, safetensors: 12, onnx: 10, images: 8, arrays: 10, parquet: 4, samples: 10, tables: 12, targets: 6,
    inis: 6, grids: 8, rows: 4, reports: 4, caches: 3, checkpoints: 1, arguments: 4, options: 3, texts: 14, programs: 1, code: 2,
}  # fmt: skip


def outcome_of(kind: Kind, rng: random.Random, place: Path) -> str:
    """What came of a case. Raises whatever is neither a refusal nor a failure with a message."""
    try:
        with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
            return kind(rng, place)
    except padless.UsageError as error:
        return _told(error, "refused")
    except padless.PadlessError as error:
        return _told(error, "failed with a message")


def _told(error: Exception, outcome: str) -> str:
    if not str(error).strip() or len(str(error)) > 40_000:
        raise UncleanError(f"a message of {len(str(error))} letters: {str(error)[:200]!r}")
    return outcome
