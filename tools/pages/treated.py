"""Write `treated.md` from `benchmarks/results/treat.json`: `python -m tools.pages.treated`. No figure is typed."""

import json
from statistics import mean

from padless.report.markdown import markdown_table
from tools.pages import DOCS, RESULTS

PAGE = DOCS / "treated.md"

TEXT = """# What treatments of weights are worth

Written by `python -m tools.pages.treated` from `benchmarks/results/`; a test fails when it is stale. CIFAR-10 in a JPEG
form: compare within a table. Nothing is trained: networks are as trained once, cut and recovered at most, on {calibration}
unlabelled training images. `rounded` is the nearest level, or the larger two of four, without compensation; `treated` is
`padless.treat`. Cycles and NPU cycles are Arm Vela {vela}'s for the written INT8 file (each target's default system and
memory mode), in percent of the dense network's file. A network may compute as much and fetch less: then cycles fall and NPU
cycles do not, and neither does the energy of computing. Accuracy is top-1 in percent, in float and of the file in LiteRT, on
the same test images; the standard error of one is {error:.2f} at most. Divergence is from the class probabilities of the
network that was not treated (behind a cut: of the dense one), in nats, on calibration images that were held out.

`{command}`

{tables}
"""


def page() -> str:
    record = json.loads((RESULTS / "treat.json").read_text())
    rows = record["rows"]
    return TEXT.format(
        calibration=record["calibration"], vela=record["versions"]["ethos-u-vela"], command=record["command"],
        error=max(50 / row["test"] ** 0.5 for row in rows), tables=_tables(rows),
    )  # fmt: skip


def _tables(rows: list[dict]) -> str:
    parts = []
    for network, target in dict.fromkeys((row["network"], row["target"]) for row in rows):
        here = [row for row in rows if (row["network"], row["target"]) == (network, target)]
        parts.append(f"## {network} on {target}\n\n{_table(here)}")
    return "\n\n".join(parts)


def _table(rows: list[dict]) -> str:
    header = [
        "what",
        "treatment",
        "seeds",
        "test images",
        "cycles %",
        "NPU cycles %",
        "divergence",
        "float",
        "LiteRT",
        "seconds",
    ]
    lines = []
    for key in dict.fromkeys((row["kind"], row["asked"], row["treatment"], row["test"]) for row in rows):
        alike = [row for row in rows if (row["kind"], row["asked"], row["treatment"], row["test"]) == key]
        kind, asked, treatment, test = key
        lines.append([
            f"{kind} to {asked}" if asked else kind, treatment, str(len(alike)), f"{test:,}",
            *(_mean(alike, name, digits) for name, digits in (
                ("cycles_percent", 1), ("npu_percent", 1), ("divergence", 4), ("float", 2), ("litert", 2), ("seconds", 0)
            )),
        ])  # fmt: skip
    return markdown_table(header, lines)


def _mean(rows: list[dict], name: str, digits: int) -> str:
    found = [row[name] for row in rows if name in row]
    return f"{mean(found):.{digits}f}" if found else ""


def write() -> None:
    PAGE.write_text(page())


if __name__ == "__main__":
    write()
