"""Write `results.md` and its pictures, and README's tables: `python -m tools.pages.results`. No measured figure is typed."""

import json
from statistics import mean

from padless.report.markdown import markdown_table
from padless.reproduction import tables
from padless.reproduction.figures import draw_all
from padless.reproduction.protocol import AWARE, EQUAL, PADLESS
from padless.reproduction.staircase import Steps
from padless.reproduction.store import read_results
from padless.reproduction.tables import WASTE
from padless.reproduction.written import conditions, machines, text
from tools.pages import DOCS, IMAGES, README, RESULTS

PAGE = DOCS / "results.md"
RUNS = {  # file of results: heading
    "reproduction": "Five epochs",
    "reproduction-computing": "Where computing binds: a 16x16 systolic array",
    "reproduction-full": "Trained in full, at 30 %",
    "reproduction-quick": "The quick run",
}

TARGET = "ethos-u55-256"  # of README's second table
LEVERS = {"dense": "dense", "widths": "fewer channels", "joint": "**both**"}
SEED = {"vgg16_bn": "VGG-16", "resnet18": "ResNet-18"}  # the paper's networks

TEXT = """# The paper, and what goes past it

Written by `python -m tools.pages.results` from `benchmarks/results/`; a test fails when it is stale.

"An Efficient NPU-Aware Filter Pruning in Convolutional Neural Network" (Lee, Kim, Kwak, Lee, Lee; ICEIC 2023) prunes
filters in multiples of the NPU's channel unit and reports, for VGG-16 and ResNet-18 on CIFAR-10, 1.86 to 6.78 % less
hardware-inefficient space and unnecessary computation than general pruning, without loss of accuracy. Only its abstract
is public to us. **Assumed**, since it does not say: the unit (8, 16 and 32 are measured), the criterion (L1 norms of
filters), the ratios (30, 50 and 70 % of the channels), how they are shared among the layers (one threshold over the
network, norms relative to their layer's mean, a tenth of each layer stays) and how widths become multiples (the
nearest).

`padless reproduce` measures it; without `--quick` it is the full protocol. **What stands below is the size that two CPU
cores manage**, no accelerator was at hand: fine-tuning takes 40 steps (five epochs of 1,024 images; the quick run 8),
where the full protocol takes 1,950 on 50,000. That is enough to tell padless and MCT from the rest at equal cycles, on
the paper's two networks. At equal ratio NPU-aware and general pruning are within a point of one another, either way,
but for VGG-16 at 70 % in units of 32, where NPU-aware is ahead and keeps more MACs. It is by far too little for the
paper's "without loss of accuracy": cut by ratio, both stay points under the dense network, the tables say how many. One
cell was trained in full, VGG-16 at 30 % in units of 16: there the gap is half as wide, and not closed, by either kind.
How much goes without loss, on a narrower sibling that two cores can train in full: [measured apart](lossless.md).
MobileNetV2 and DenseNet-BC have no weights but one epoch of training, so their tables compare methods, not what the
networks could do, and one seed tells no two of them apart that are a point from one another; on DenseNet-BC ours is the
last of four, within that. MCT, and Torch-Pruning's global threshold, were not run on those two nor on the systolic
array.

**In short**, for the paper's two networks: percentage points of padding that NPU-aware pruning saves against general
pruning at the same ratio, least to most. The avoidable waste that it leaves is 0.00 in every case.

{waste}

## Protocol

- **Data.** CIFAR-10 as 32x32 images, cropped and mirrored in training. What stands below was measured on a JPEG form of
  it (quality 75, 4:2:0), which loses detail: accuracies on the lossless set should be higher; by how much was not
  measured. Compare within a table: each is tested on one fixed draw of the test images, on which a network may score a
  point more or less than on all. On the lossless set: leave `--data` out, it is `uoft-cs/cifar10` by default.
- **Dense networks.** One set of weights for all cells, from short trainings (VGG-16 12 epochs, ResNet-18 5): starting
  points, no records. So the dense network is also continued for as long, with the same recipe, as every cut one.
  Without `--weights`, `padless reproduce` trains its own.
- **One MAC counter, one oracle.** MACs, padding and bytes are counted by padless for every method; cycles are those of
  Arm Vela 5.2.0 for the whole network on {target}, with its own system configuration and memory mode (each row of the
  JSON names them): a compiler's estimate, not silicon. For the systolic array they are the closed form's: padded MACs
  over MACs a cycle.
- **Equal ratio.** The paper's comparison, by one L1 threshold over the network. What waste NPU-aware pruning leaves lies
  on axes that no cut can align: the image's three channels, the ten classes, in DenseNet-BC the twelve channels that
  each layer adds.
- **Equal cycles.** padless: the most reconstruction importance within the budget, aligned. NPU-aware and general: the
  paper's comparison, the threshold turned until the cycles fit. Torch-Pruning 1.6.1: L2 norms of groups, one ratio for
  all layers, or one threshold over them with counts rounded to 32: in each cell of [choices](choices.md), which has its
  four settings, one of these two is the best or within 0.02 points of it. MCT 2.6.1 (Sony): its share of the weights'
  memory turned until the cycles fit; its scores, which take minutes, are made on 64 of the images, and its channels are
  cut from the network itself, since its own networks leave batch norms out.
- **Repair.** Every cut network, whoever cut it, is repaired in closed form (`mix`) from the same 512 training images
  without labels. The paper's has no such step; it trains, how long we do not know.
- **Fine-tuning.** The same for all, with the dense network as the teacher; the dense network is continued alike. SGD
  with Nesterov momentum, one cycle up to 0.02, batches of 128, weight decay 5e-4, label smoothing 0.05, half of the
  loss the teacher's scores at temperature 4, gradients clipped at 1; bfloat16 where the device gains by it (each run
  says). With so few images it costs networks that are near the dense one, and the dense one itself, some tenths. Last
  epoch, never the best one. Seeds draw calibration images, order and augmentation.
- **What favours whom.** padless scores channels on the same images that the repair then uses, by the error that such a
  repair leaves; norms need no images, and MCT gets 64. At equal cycles NPU-aware has the target's own units; MCT's
  widths fill whole units, too. In this memory mode fetching weights binds, so whoever leaves the early layers nearly
  whole (padless, MCT) keeps up to three times the MACs at the same cycles on the paper's networks, as the last tables
  say; one ratio, or one threshold on norms, does not. So the lead over pruning by ratio is one of importance and
  allocation, not of alignment, which at equal cycles costs tenths against general pruning here at the wider budgets and
  wins as many at the narrowest (where computing binds it is some tenths ahead at each, on one seed: there, too, is a
  table); [choices](choices.md) takes it apart. Steps of a threshold are coarse, so not all of a budget is always spent;
  how much is, the tables say, too. Cycles are those of the network as cut; repair and training change how well its
  weights compress, and so the total, by fractions of a percent.
- **Chance.** Deviations are over the seeds, all of which are tested on the same images. Another draw of 2,000 test
  images would move the difference of two networks that disagree on one image in twenty by 0.5 points (one standard
  error).

{runs}

## Run it

Each row is one command; a run that is stopped goes on when it is given again, and more seeds, sizes or methods are
added to what is there. For one row of a table on the lossless data, with networks trained on the spot:

```
padless reproduce --networks vgg16_bn --ratios 50 --units 16 --budgets "" --seeds 0
padless reproduce --networks resnet18 --ratios "" --budgets 35 --methods padless --seeds 0
```
"""


MARK = "<!-- {}, by tools/pages/results.py -->\n"
END = "<!-- end -->\n"


def readme() -> str:
    """README.md with its tables."""
    run = read_results(RESULTS / "reproduction.json")
    said = README.read_text(encoding="utf-8")
    for name, table in {"accuracy": _accuracies(run), "levers": _levers()}.items():
        before, _, rest = said.partition(MARK.format(name))
        _, _, after = rest.partition(END)
        said = f"{before}{MARK.format(name)}\n{table}\n\n{END}{after}"
    return said


def _saved(run: dict) -> str:
    rows = [row for row in run["rows"] if row["network"] in SEED]
    cells = tables.of(rows, part="equal ratio", method=AWARE)
    units = tables.distinct(cells, "unit")
    lines = [[name, *(tables.saved(tables.of(cells, unit=unit), key) for unit in units)] for name, key in WASTE.items()]
    return markdown_table(["points of padding saved", *(f"unit {unit}" for unit in units)], lines)


def _accuracies(run: dict) -> str:
    """A line a method, after fine-tuning; the dense networks, trained on alike, beside it."""
    columns, lines = [(network, size) for network in SEED for size in (0.35, 0.25)], []
    dense = (tables.of(run["rows"], part="dense", network=network) for network, _ in columns)
    lines.append(["dense, continued alike", *(tables.average(rows, "accuracy") for rows in dense)])
    for method in EQUAL:
        mine = tables.of(run["rows"], part="equal cycles", method=method)
        if not mine:
            continue
        cells = (tables.average(tables.of(mine, network=n, size=s), "accuracy") for n, s in columns)
        lines.append([f"**{method}**" if method == PADLESS else method, *cells])
    shown = markdown_table(["", *(f"{SEED[n]}, {s:.0%}" for n, s in columns)], lines)
    return f"{conditions(run)}.\n\n{shown}"


def _levers() -> str:
    """What fewer channels, few values and both keep without training, in LiteRT; a line each."""
    run = json.loads((RESULTS / "treat.json").read_text())
    columns = [(network, budget) for network in SEED for budget in (15, 10)]

    def cell(network: str, budget: int, method: str) -> str:
        found = [
            row["litert"]
            for row in run["rows"]
            if (row["network"], row["target"], row["budget"], row["method"], row["epochs"])
            == (network, TARGET, budget, method, 0)
            and row.get("reached", True)
        ]
        return f"{mean(found):.2f}" if found else "-"

    lines = [
        [LEVERS[method], *(cell(network, 100 if method == "dense" else budget, method) for network, budget in columns)]
        for method in LEVERS
    ]
    return markdown_table(["", *(f"{SEED[network]}, {budget}%" for network, budget in columns)], lines)


def page() -> str:
    found = {name: read_results(RESULTS / f"{name}.json") for name in RUNS}
    parts = []
    for name, heading in RUNS.items():
        run = found[name]
        pictures = {p.stem.removeprefix(f"{name}-"): f"images/{p.name}" for p in IMAGES.glob(f"{name}-*.png")}
        networks = ", ".join(dict.fromkeys(row["network"] for row in run["rows"]))
        versions = ", ".join(f"{package} {version}" for package, version in run["versions"].items())
        parts.append(
            f"## {heading}\n\n{networks}: {conditions(run)}. {machines(run)}, {run['seconds']:,.0f} s in all; "
            f"{versions}.\n\n{text(run, '###', pictures)}"
        )
    run = found["reproduction"]
    return TEXT.format(runs="\n".join(parts).strip(), target=run["target"], waste=_saved(run))


def draw() -> None:
    """The pictures of every run, beside the page's others."""
    for name in RUNS:
        run = read_results(RESULTS / f"{name}.json")
        for file in draw_all(IMAGES, run["rows"], [Steps(**one) for one in run["staircase"]], conditions(run)):
            file.rename(file.with_name(f"{name}-{file.name}"))


def write() -> None:
    draw()
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")


if __name__ == "__main__":
    write()
