"""A person detector of 96x96 pixels under 100 kB of SRAM, by the times of one's own board: the commands one would type.

    python examples/person_detector.py [--out persons] [--small]

`padless shapes` lists what is to be measured; here a rule of thumb stands in for the board that fills it in. Then the
network is pruned to 60 % of the board's time, with the memory that Arm's compiler plans on an Ethos-U55-64 below 100 kB.
The images are drawn, since no photographs come with padless: give your own folder with train/CLASS/*.png and
test/CLASS/*.png. The network is MobileNetV1, half as wide (Howard et al., arXiv:1704.04861; the visual wake words of
Chowdhery et al., arXiv:1906.05721).
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from math import ceil
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch import nn

import padless


def network() -> nn.Sequential:
    """MobileNetV1, width 0.5, one colour, two classes."""
    layers: list[nn.Module] = [*_unit(1, 16, 3, stride=2, padding=1)]
    widths = ((16, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1))
    for c_in, c_out, stride in widths:
        layers += _unit(c_in, c_in, 3, stride=stride, padding=1, groups=c_in) + _unit(c_in, c_out, 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 2))


def _unit(c_in: int, c_out: int, kernel: int, **options: int) -> list[nn.Module]:
    return [nn.Conv2d(c_in, c_out, kernel, bias=False, **options), nn.BatchNorm2d(c_out), nn.ReLU()]


def draw(folder: Path, count: int, rng: np.random.Generator) -> None:
    """Half of them show someone, all of them boxes and noise."""
    for number in range(count):
        kind = ("nobody", "person")[number % 2]
        image = Image.fromarray(rng.integers(60, 200, (96, 96)).astype(np.uint8))
        pen, shade = ImageDraw.Draw(image), int(rng.integers(0, 256))
        for _ in range(4):
            x, y, w, h = (int(v) for v in rng.integers((0, 0, 6, 6), (80, 80, 26, 26)))
            pen.rectangle((x, y, x + w, y + h), fill=int(rng.integers(0, 256)))
        if kind == "person":
            x, y, s = (int(v) for v in rng.integers((24, 12, 6), (72, 24, 10)))
            pen.ellipse((x - s, y - s, x + s, y + s), fill=shade)
            for limb in ((0, 1, 0, 5), (-3, 3, 3, 3), (0, 5, -2, 8), (0, 5, 2, 8)):
                pen.line([x + limb[0] * s, y + limb[1] * s, x + limb[2] * s, y + limb[3] * s], fill=shade, width=s // 2)
        place = folder / kind
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{number}.png")


def microseconds(row: dict[str, str]) -> float:
    """The stand-in for a measurement on the board: 20 GMACs a second in units of 8, and 30 us for each layer."""
    groups = int(row.get("groups") or 1)
    pixels, taps = int(row["oh"]) * int(row["ow"]), int(row["kh"]) * int(row["kw"])
    c_in, c_out = int(row["cin"]), int(row["cout"])
    if groups == 1:
        c_in, c_out = (ceil(width / 8) * 8 for width in (c_in, c_out))
    return 30 + pixels * taps * c_in * c_out / groups / 20_000


def padless_(*arguments: str) -> str:
    """Run `padless ARGUMENTS`; its standard output."""
    print("$ padless", *arguments)
    paths = [
        str(Path(__file__).parent),
        *filter(None, [os.environ.get("PYTHONPATH")]),
    ]  # where the network's module lies
    done = subprocess.run(
        [sys.executable, "-m", "padless", *arguments], stdout=subprocess.PIPE, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("persons"))
    parser.add_argument("--small", action="store_true", help="a minute's work: fewer images, fewer epochs")
    args = parser.parse_args()
    count, epochs = (48, 1) if args.small else (1600, 10)
    rng = np.random.default_rng(0)
    for split, size in (("train", count), ("test", count // 4)):
        draw(args.out / "images" / split, size, rng)

    torch.manual_seed(0)
    model = network()
    images = padless.load_images(str(args.out / "images"), shape=(1, 96, 96))
    padless.finetune(model, images, padless.Recipe(epochs=epochs, peak_lr=0.1, batch=32))
    save_file(model.state_dict(), args.out / "dense.safetensors")

    name = f"{Path(__file__).stem}:network"  # this file, as a module
    given = (name, "--input-shape", "1,1,96,96", "--target", "ethos-u55-64")
    todo, table = args.out / "todo.csv", args.out / "board.csv"
    todo.write_text(padless_("shapes", *given, "--unit", "us"))
    with todo.open() as asked, table.open("w", newline="") as measured:
        rows = csv.DictReader(asked)
        filled = csv.DictWriter(measured, rows.fieldnames or [])
        filled.writeheader()
        for row in rows:
            filled.writerow({**row, "us": round(microseconds(row), 1)})

    run = args.out / "run"
    padless_(
        "prune", *given, "--weights", str(args.out / "dense.safetensors"), "--data", str(args.out / "images"),
        "--oracle", f"csv {table}", "--memory-oracle", "vela", "--budget", "latency=60%", "--budget", "sram=100kB",
        "--epochs", str(max(1, epochs // 3)), "--out", str(run),
    )  # fmt: skip
    print(padless_("export", str(run), "--compile", "--trust"))
    summary = json.loads((run / "summary.json").read_text())
    for side in ("before", "after"):
        numbers = summary[side]
        print(
            f"{side}: {numbers['nanoseconds'] / 1e6:.2f} ms on the board, {numbers['peak_sram_bytes']:,} bytes of SRAM, "
            f"{numbers['accuracy']:.1f} %"
        )


if __name__ == "__main__":
    main()
