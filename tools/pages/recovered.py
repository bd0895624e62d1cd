"""Write `recovered.md` from `benchmarks/results/`: `python -m tools.pages.recovered`. No figure is typed."""

import json
from statistics import mean, stdev

from padless.report.markdown import markdown_table
from padless.reproduction import tables
from padless.reproduction.protocol import PADLESS
from padless.reproduction.store import read_results
from padless.reproduction.written import commands, conditions
from tools.pages import DOCS, RESULTS

PAGE = DOCS / "recovered.md"

TEXT = """# How much accuracy comes back

Written by `python -m tools.pages.recovered` from `benchmarks/results/`; a test fails when it is stale. CIFAR-10 in a JPEG
form: compare within a table. Networks are cut by our plan to a share of their cycles (Arm Vela 5.2.0, ethos-u55-256).

## Without labels or training

Top-1 accuracy in percent, mean ± deviation over the seeds, and seconds on one thread of a busy machine. Every method gets
the same kept channels and the same 512 unlabelled training images; each seed draws other images and is tested on another
2,000 of the 10,000 test images. Torch-Pruning itself repairs nothing (`none`), `bn` is what one would add; AIMET 2.42's
data-driven reconstruction solves each convolution first to last on its own sample of 10 positions an image, and `, bn`
re-estimates batch norm behind it, which AIMET's own pruning does not.
`{recovery_command}`

{recovery}

## With fine-tuning

Top-1 accuracy in percent after the last epoch, mean ± deviation over the seeds: the cut network, repaired as above
(`mix`), then `finetune` with its default recipe and the dense network as the teacher; and the dense network itself,
unchanged and continued alike. Every other method at the same cycles: [results](results.md). {conditions}.

{finetuning_commands}

{finetuning}
"""


def page() -> str:
    recovery = json.loads((RESULTS / "recovery.json").read_text())
    reproduction = read_results(RESULTS / "reproduction.json")
    return TEXT.format(
        recovery=_recovery(recovery["rows"]), recovery_command=recovery["command"], conditions=conditions(reproduction),
        finetuning=_finetuning(reproduction["rows"]), finetuning_commands=commands(reproduction),
    )  # fmt: skip


def _finetuning(rows: list[dict]) -> str:
    ours = tables.of(rows, part="equal cycles", method=PADLESS)
    sizes, table = tables.distinct(ours, "size")[::-1], []
    for network in tables.distinct(ours, "network"):
        seeds = tables.distinct(tables.of(ours, network=network), "seed")
        dense = [row for row in tables.of(rows, part="dense", network=network) if row["seed"] in seeds]
        mine = [tables.spread(tables.of(ours, network=network, size=size), "accuracy") for size in sizes]
        unchanged = tables.spread(dense[:1], "accuracy_before")
        table.append([network, str(len(seeds)), unchanged, tables.spread(dense, "accuracy"), *mine])
    head = ["network", "seeds", "dense", "dense, continued", *(f"{size:.0%} of the cycles" for size in sizes)]
    return markdown_table(head, table)


def _recovery(rows: list[dict]) -> str:
    table = []
    methods = list(dict.fromkeys(row["method"] for row in rows))
    for network, share in dict.fromkeys((row["network"], row["share"]) for row in rows):
        mine = [row for row in rows if (row["network"], row["share"]) == (network, share)]
        dense = {row["seed"]: row["dense_accuracy"] for row in mine}
        cells = []
        for method in methods:
            found = [row for row in mine if row["method"] == method]
            accuracies = [row["accuracy"] for row in found]
            spread = f" ± {stdev(accuracies):.2f}" if len(found) > 1 else ""
            seconds = mean(row["seconds"] for row in found) if found else 0.0
            cells.append(f"{mean(accuracies):.2f}{spread} ({seconds:.0f} s)" if found else "-")
        table.append([network, f"{share:.0%}", str(len(dense)), f"{mean(dense.values()):.2f}", *cells])
    return markdown_table(["network", "cycles", "seeds", "dense", *methods], table)


def write() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
