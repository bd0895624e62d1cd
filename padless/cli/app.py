"""What every command shares: the application, where it prints, and the options that several have."""

import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from padless import __version__
from padless.errors import PadlessError
from padless.pool import patience
from padless.progress import Terminal

# A day's work, in the order in which `padless --help` lists it. Of each command: its module, and what the list says of it,
# which its own docstring begins with. Only the command that is called is imported: torch takes seconds.
COMMANDS = {
    "targets": (
        "targets",
        "List the NPUs that padless knows; `padless targets ID` shows one with the source of every number.",
    ),
    "probe": (
        "probe",
        "Find channel units from costs alone: sweep widths, draw the staircase, and say how sure the answer is.",
    ),
    "inspect": (
        "model",
        "Show what a network computes, stores and wastes on an NPU, layer by layer; what can be cut, what stays, and why.",
    ),
    "shapes": (
        "shapes",
        "List every layer shape that `padless prune` will ask an oracle about, as a CSV table to be measured and filled in.",
    ),
    "plan": (
        "family",
        "Solve a family of budgets and show importance against cost, so that you can pick one for `padless prune`.",
    ),
    "prune": (
        "model",
        "Prune a network to a budget on an NPU, recover it, and write the smaller network with a summary.",
    ),
    "finetune": (
        "train",
        "Fine-tune a pruned network, with the dense one as its teacher, into a folder of the same kind.",
    ),
    "treat": (
        "treat",
        "Bring the weights of a pruned network to few values or to 2:4 zeros, without training, into a folder of its kind.",
    ),
    "export": (
        "export",
        "Write a pruned network as the file that is flashed, and say how faithful it is, measured in its own interpreter.",
    ),
    "report": (
        "report",
        "Write a run's page again from its folder, against your limits; of several runs, one page that compares them.",
    ),
    "sweep": (
        "sweep",
        "Do many runs as one: models, targets, budgets and seeds from a grid, on this machine or a Ray cluster.",
    ),
    "cache": (
        "cache",
        "Carry the answers of compilers to another machine, or bring them from one.",
    ),
    "reproduce": (
        "reproduce",
        "Reproduce NPU-aware against general pruning (Lee et al., ICEIC 2023), and compare all methods at equal cycles.",
    ),
    "demo": (
        "model",
        "The embedded default, in some minutes: train a small ResNet on handwritten digits, halve its cycles.",
    ),
}


class Workday(TyperGroup):
    """Lists commands in the order of a day's work, and imports the one that is called.

    `ctx` is click's Context, of which some versions of typer have their own.
    """

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        known = {name: TyperCommand(name=name, help=line) for name, (_, line) in COMMANDS.items()}
        self.commands = {**known, **self.commands}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The name, the command itself in the place of its line in the list, and the arguments behind it."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, imported(str(name)), rest

    def invoke(self, ctx: Any) -> Any:
        """Raises PadlessError where code that is called ends the program: a factory, a forward, a module."""
        try:
            return super().invoke(ctx)
        except SystemExit as end:
            raise PadlessError(_ended(end)) from end


def _ended(end: SystemExit) -> str:
    """Where the program was ended."""
    frames = traceback.extract_tb(end.__traceback__)
    frame = next(frame for frame in reversed(frames) if "_sitebuiltins" not in frame.filename)  # of exit()
    return (
        f"{frame.filename}, line {frame.lineno}, in {frame.name}: the program was ended (sys.exit, code {end.code!r}). "
        "What padless calls must return, or raise an error."
    )


def imported(name: str) -> Any:
    """A command, from its module."""
    import_module(f"padless.cli.{COMMANDS[name][0]}")
    group = typer.main.get_command(app)
    return group.commands[name]  # type: ignore[attr-defined]


app = typer.Typer(
    name="padless",
    cls=Workday,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
out = Terminal(width=None if sys.stdout and sys.stdout.isatty() else 120)  # a pipe has no width of its own

MODEL_HELP = (
    "cifar10/NAME (vgg16_bn, resnet18, mobilenet_v2, densenet_bc), torchvision/NAME, timm/NAME, package.module:factory, "
    "FILE.onnx."
)
TARGET_HELP = (
    "An id (see `padless targets`), unit:16, unit:32x16 (input x output) or a TOML file; ID@fp16 for a precision."
)
Model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)]
TargetOption = Annotated[str, typer.Option("--target", help=TARGET_HELP)]
System = Annotated[
    str | None,
    typer.Option(
        "--system", help="A board (see `padless targets`) or Vela's system configuration; else the target's own."
    ),
]
Memory = Annotated[str | None, typer.Option("--memory-mode", help="Vela's memory mode; the target's own by default.")]
VelaConfig = Annotated[
    Path | None,
    typer.Option(
        "--vela-config",
        help="An .ini of yours for Vela: --system and --memory-mode are then its sections, by default the target's own or "
        "the only ones.",
    ),
]
Oracle = Annotated[
    str | None,
    typer.Option(
        "--oracle",
        help="Who is asked for cycles: ceil, vela, 'scalesim 16x16', 'zigzag 16x16', onnxruntime (nanoseconds on this CPU), "
        "'csv FILE [interpolate]', or a command of yours with {h} {w} {cin} {cout} {k} {stride} {groups} in it that prints "
        "a number; by default the best that the target has.",
    ),
]
MemoryOracle = Annotated[
    str | None,
    typer.Option(
        "--memory-oracle",
        help="Who is asked for peak_sram_bytes, where --oracle does not know it: vela, beside a table of times.",
    ),
]


def be_patient(seconds: float) -> float:
    patience.set(seconds)
    return seconds


OracleTimeout = Annotated[
    float,
    typer.Option(
        "--oracle-timeout", min=0.1, callback=be_patient,
        help="Seconds that a command, compiler or simulator may take for one question; then it is stopped.",
    ),
]  # fmt: skip
PATIENCE = patience.get()
Weights = Annotated[Path | None, typer.Option("--weights", help="A safetensors file. Nothing is ever unpickled.")]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="digits, a folder (Hugging Face parquet, train/CLASS/*.png and test/CLASS/*.png, or images or .npy arrays "
        "without labels), an .npy or .npz file, package.module:function, or a Hugging Face id.",
    ),
]
PreprocessOption = Annotated[
    str | None,
    typer.Option(
        "--preprocess",
        help="What the network was trained with: (byte * scale - mean) / std. Such as mean=0.485,0.456,0.406,std=0.229,"
        "0.224,0.225 or mean=127.5,std=127.5,scale=1; also layout=nhwc and bgr. By default the run's or "
        "the model's own, else the images' own.",
    ),
]
Align = Annotated[
    str | None,
    typer.Option(
        "--align",
        help="unit: fill the target's units. cost: a width is aligned where no larger one costs the same. By default "
        "units, and costs where those do not reach a budget that a compiler counts. none: general pruning.",
    ),
]
Repair = Annotated[
    str,
    typer.Option("--repair", help="Widths that fill no whole units: down to the next, or up with channels of zeros."),
]
Freeze = Annotated[
    list[str] | None,
    typer.Option("--freeze", help="A layer whose output channels all stay; wildcards; may be given several times."),
]
Limit = Annotated[
    str,
    typer.Option(
        "--limit",
        help="What the network must fit into, such as sram=256KiB,flash=1MB: the report shows it beside them.",
    ),
]
Outputs = Annotated[
    list[str] | None,
    typer.Option(
        "--outputs",
        help="An output whose channels must stay, by its path in what the model returns (0, boxes, 1.feats); may be given "
        "several times. The others may then lose channels. By default all outputs stay.",
    ),
]
Dequantise = Annotated[
    bool,
    typer.Option(
        "--dequantise", help="Fold an ONNX file between Quantize and Dequantize nodes back to floating point."
    ),
]
Until = Annotated[
    list[str] | None,
    typer.Option(
        "--until",
        help="Cut an ONNX file off at this tensor, in front of what has no form; may be given several times.",
    ),
]
Shape = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        help="Such as 1,3,32,32; the model's usual shape by default, of an ONNX file's axes those it leaves open. May be "
        "given several times, in the order of the forward's arguments; NAME=1,3,32,32 for a dictionary's entries, or an "
        "ONNX file's input of that name; types as in 1,16:int64. With --data one image.",
    ),
]


# Of a run's folder, for commands that go on from one.
AGAIN = "What the folder says, repeated word for word, where it does not come with padless: "
ModelAgain = Annotated[str | None, typer.Option("--model", help=f"{AGAIN}a factory, or an ONNX file with other files.")]
TargetAgain = Annotated[str | None, typer.Option("--target", help=f"{AGAIN}a TOML file.")]
OracleAgain = Annotated[str | None, typer.Option("--oracle", help=f"{AGAIN}a command, a table, an entry point.")]
MemoryOracleAgain = Annotated[str | None, typer.Option("--memory-oracle", help=f"{AGAIN}as --oracle.")]
Trust = Annotated[
    bool,
    typer.Option("--trust", help="Use all that the folder names, commands and modules included: you know who made it."),
]


def print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"padless {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Prune convolutional networks so that their channels fill the NPU's compute units."""
