"""Write `targets.md`, `target.schema.json` and `measurements.md`: `python -m tools.pages.hardware`.

Targets come from the catalogue, measurements from `benchmarks/results/`, so that no figure is typed.
"""

import json
import re
from typing import Any

from padless.hardware import Target, targets
from padless.report.catalogue import board_rows
from padless.report.markdown import markdown_table
from tools.pages import DOCS, RESULTS, deployed, onnx_files, sweeps

RANKED = {"documented": 0, "derived": 1, "reverse-engineered": 2}

TARGETS = """# Targets

Written by `python -m tools.pages.hardware` from `padless/hardware/catalogue/`; a test fails when it is stale.

`padless targets ID` prints each number with its source and how sure it is: *documented* (the vendor's manual,
specification or RTL says it), *derived* (it follows from the vendor's compiler, driver or cost model) or
*reverse-engineered* (a third party found it). The last column is the least sure of a target's facts. Units are channels
in INT8; `?` is what no public source states: it counts as 1 (a depthwise unit as the output unit), and nothing is
guessed. The memory block is what stored activations are padded to. A target's other precisions are asked for as
`ID@fp16`; `int8w4` has 8-bit activations and 4-bit weights.

{table}

## Where the units of Ethos-U hold

A compiler charges for more than MACs. {staircase_count} staircases a target (1x1, 3x3 and depthwise layers over maps and
the other side's widths), compiled by Vela with all weights in SRAM: the mean share of their rise that falls where our units
step, in percent. `{staircase_command}`

{staircases}

- **Where the MACs bind the units hold**: 3x3 layers, 1x1 layers of many inputs, and depthwise layers on maps from 12x12.
- **Where the output stage binds no unit does.** There a 1x1 layer costs as much for 1 input as for 64, and each output
  counts by itself: such layers have few inputs for their outputs. Depthwise layers on maps up to 8x8 are like that, too, and
  the wider the array, the more layers: on Ethos-U85-2048 half of the rise of 1x1 outputs lies within the units. Rules have
  units of 8 in place of 32 for up to 64 inputs of 1x1 layers on Ethos-U55 and -U65, on maps from 14x14 (20x20 where the
  array has four pixels).
- **17 to 32 inputs of a 1x1 layer cost as much as 128 on Ethos-U85**, 33 to 64 as little as 16.
- Vela's estimate for Ethos-U65-512 steps by 8 outputs. It does not charge what two cores leave idle, so 16 is kept.

So let the compiler's costs decide where units are too coarse: `--align cost`, [the default then](choosing.md).

## Boards

An NPU's cycles depend on the clock and the memories around it. `--system NAME` chooses a board, in Python
`padless.load_target("ethos-u55-64", system="Himax_WE2")`:

{boards}

Bandwidths are the most that a memory gives, as the source has them for Arm's compiler. The memory mode stays the target's
own, and `--memory-mode` chooses another of Vela's: `Shared_Sram` leaves the weights in flash, `Sram_Only` has all in SRAM.
The Corstones are simulated systems, and the i.MX 93 is compiled for with Arm's generic `Ethos_U65_High_End`; the numbers of
the PSOC Edge are a user's copy of Infineon's file. `padless targets ID` prints the address of each source. The sections
that Vela gets are in `padless/hardware/catalogue/boards.ini`, with burst lengths and latencies; those of the RA8P1 are from
Renesas' own compiler scripts, the clock and scales from the page that is named.

**Your board.** `--vela-config FILE.ini` takes what Vela itself takes: sections `System_Config.NAME` and `Memory_Mode.NAME`
with Vela's options and `inherit`.

```ini
[System_Config.My_Board]
core_clock=250e6
axi0_port=Sram
axi1_port=OffChipFlash
Sram_clock_scale=1.0
Sram_burst_length=32
Sram_read_latency=32
Sram_write_latency=32
OffChipFlash_clock_scale=0.0625
OffChipFlash_burst_length=128
OffChipFlash_read_latency=64

[Memory_Mode.Shared_Sram]
const_mem_area=Axi1
arena_mem_area=Axi0
cache_mem_area=Axi0
```

`padless inspect MODEL --target ethos-u55-128 --vela-config board.ini --system My_Board` counts as
`vela … --config board.ini --system-config My_Board --memory-mode Shared_Sram` does. Only the file's sections count then; the
only one of a kind needs no name. Clock and bytes a cycle for the roofline and for milliseconds are worked out as Vela
does: `core_clock`, and clock scale x ports used x 8 bytes (Ethos-U55) or 16. In Python it is
`load_target("ethos-u55-128", system="My_Board", vela_config="board.ini")` or `target.at(…)`. A run's `summary.json` keeps
the file's text, so that `finetune` asks the same again when the file has changed or is gone; every answer names the text
by a digest.

## Your own

`padless targets new npu.toml` writes a commented template, `padless targets check npu.toml` names every mistake with
its line, and `--target npu.toml` (or a folder in the environment variable `PADLESS_TARGETS`) uses it. Editors complete
such files from [target.schema.json](target.schema.json) (`padless targets schema` prints it): with Taplo, the first
line is `#:schema ./target.schema.json`. Units that you do not know, [a probe](probing.md) finds with your compiler or
your board.

## Targets whose unit no public source states

They are not in the catalogue. Probe them with their compiler, or with a board:

| NPU | what is known |
|---|---|
| Google Edge TPU (Coral) | 4 TOPS; weights beyond about 8 MB are streamed. 64x64 MACs is a third party's estimate |
| Apple Neural Engine | tensor strides are multiples of 64 bytes; channels: nothing |
| Hailo-8 | host frames are aligned to 8 |
| ST Neural-ART 14 (STM32N6) | four convolution accelerators, 8-bit weights and activations |
| NXP eIQ Neutron (N3) | some operators want channels divided by `num_macs`, whose value is in a closed converter |
| NVIDIA Xavier and Orin DLA | formats CHW32 and CHW16; what is computed at once is not stated |
| TI C7x MMA (TDA4VM) | 8 TOPS at 1 GHz, that is 4,096 MACs a cycle; their arrangement is not stated |
| Kendryte K210 | 4, 2 or 1 channels a 64-byte line of memory, by the width of the map; compute: nothing |
| Horizon BPU, Samsung NPU, MediaTek APU, Renesas DRP-AI, Syntiant, Kneron, Kendryte K230 | nothing about channels |
"""

MEASUREMENTS = """# What the oracles say

Written by `python -m tools.pages.hardware` from `benchmarks/results/`; a test fails when it is stale. Each table names
the command that made it. Every cycle count is a compiler's or simulator's estimate, not silicon.

## Does the closed form rank networks as compilers and simulators do?

100 random assignments of widths a network (every channel group at 30, 50, 75 or 100 % of its channels): Spearman's rank
correlation of `ceil` cycles with the oracle's, the share of pairs that `ceil` puts in the wrong order, and the range of
the oracle's cycles over `ceil`'s. `ceil` is that of the same target: ethos-u55-256 for Vela, gemmini-16 for the
simulators. ResNet-18 is the CIFAR form at 32x32, the others are torchvision's at 96x96. `{rank_command}`

{rank}

Where `ceil` misleads:

- **Memory.** It charges MACs alone. On Vela's default system for Ethos-U55 weights come from flash at one byte a cycle,
  and the total follows weight bytes as much as MACs. Without waiting, the ranks are those of the other rows.
- **Loop order.** Ethos-U reads 17 to 24 inputs of a 3x3 layer at the cost of more than 32, and 33 to 48 at the cost of
  more than 64 (see [probing](probing.md)). `ceil` calls 24 and 32, 48 and 64 equal.
- **Depthwise layers.** `ceil` assumes that as many channels run at once as the array has columns. A systolic array
  computes them one after the other, on one column: the simulators' factors of 3 to 11. Vela charges nearly twice what
  `ceil` does (64 channels, 3x3, 16x16 map, Sram_Only: 8,640 cycles against 4,608).
- **What else binds.** 1x1 layers on Ethos-U are bound by the output stage, so their inputs cost little. A whole network
  also has operators between the layers (squeeze-and-excite gates, additions), which `ceil` does not see at all.
- **Packing and filling.** SCALE-Sim unrolls a convolution to a matrix product: kernel elements and inputs fill the
  array's rows together, so 9 x 17 is rounded once, to 160, where `ceil` rounds 17 to 32 nine times over. And each fold
  of the weights fills and drains the array, which small maps never hide.

So: use `ceil` for targets without a compiler and for alignment, and let a compiler price the widths where there is one.

## Whole networks on Arm's compiler

{networks}

## Peak memory

Live ranges of the activations against Vela's own peak SRAM (ratio ours / Vela's) where all feature maps lie in SRAM
(`Shared_Sram`; under `Dedicated_Sram` they lie in DRAM, and Vela's figure is that of a cache). Vela's has buffers of
weights that ours does not count, and is lower where it passes stripes of maps from layer to layer. The extremes are
DeepLabV3, whose dilated convolutions and resizing Vela spreads over maps of its own, and skresnet18.
`{networks_command}`

{peaks}

## Queries

{queries}

## Which networks can be cut

Half of every group's channels, random weights. A network counts for padless when three things hold, in units of 16 and of
32x16. The cut network equals the masked original in float64 (to 1e-10; the largest difference seen is {worst:.0e}). It
fills whole units wherever that is possible. And more than half of its MACs can be cut.

A network counts for Torch-Pruning 1.6.1 when that prunes it within 60 s and the result runs, whatever it computes. Of its
{runs} results {even} have all outputs in multiples of 16. `python benchmarks/coverage.py`

{coverage}

{random:,} random networks of {blocks} kinds of blocks (shuffles, splits, gates, norms, attention …) were cut, too. All of
them equal the masked original, have the widths foretold, and no avoidable waste. `python benchmarks/properties.py`; the
tests run 500.

### Networks that people bring

{real_networks} networks that no one picked for us, random weights, small inputs; half of the MACs by L1 on `unit:16` and on
ethos-u85-512. "Cut" counts networks of which every small one equals the masked original (to 1e-10; the largest difference
seen is {real_worst:.0e}) and has no avoidable waste. "Whole": Arm's compiler takes the dense network in one piece; else its
layers are summed, and the reason is printed. `python benchmarks/real_networks.py`

{real}

Not in one piece: {not_whole}.

Not traced, with a reason: {refused}. Half is out of reach of whole units: {not_cut}.{wasting}{late}

{deployed}
{onnx_files}
{sweeps}
## Seconds

Recording, grouping, planning and cutting, beside Torch-Pruning's graph and pruning. One thread, medians of {repeats}; in
geometric mean padless is {faster:.1f}x as fast. padless also checks that sliced equals masked, which the peer does not; that
comes on top. `python benchmarks/speed.py`

{speed}

Chains of 125 to 1,000 convolutions take {least:.2f} to {most:.2f} ms a layer: time grows linearly.
"""


def targets_page() -> str:
    """`targets.md`."""
    head = ["id", "name", "in", "out", "depthwise", "block", "MACs/cycle", "also", "cycles from", "facts"]
    rows = []
    for target in targets():
        compute = target.active
        known = target.memory.channel_block or target.memory.channel_block_bytes
        units = (compute.input_unit, compute.output_unit, compute.depthwise_unit, target.block if known else None)
        rows.append([
            f"`{target.id}`", target.name, *map(_or, (*units, compute.macs_per_cycle)),
            ", ".join(p for p in target.compute if p != target.precision),
            "Arm Vela" if target.vela else "MACs" if compute.macs_per_cycle else "?",
            max((fact.confidence for fact in target.facts), key=RANKED.__getitem__),
        ])  # fmt: skip
    boards = markdown_table(
        ["system", "target", "MHz", "SRAM GB/s", "flash GB/s", "DRAM GB/s", "source"],
        [[f"`{name}`", f"`{id}`", *cells] for name, id, *cells in board_rows(targets())],
    )
    run, staircases = _staircases()
    return TARGETS.format(
        table=markdown_table(head, rows), boards=boards, staircases=staircases, staircase_command=run["command"],
        staircase_count=len(run["rows"][0]["staircases"]),
    )  # fmt: skip


def _staircases() -> tuple[dict[str, Any], str]:
    """What was run, and a row a target with a column a kind of layer."""
    run = json.loads((RESULTS / "staircases.json").read_text())
    kinds = list(run["rows"][0]["summary"])

    def share(summary: dict[str, Any], kind: str) -> str:
        return f"{100 * summary[kind]['rise_explained']:.0f}"

    rows = [[f"`{row['target']}`", *(share(row["summary"], kind) for kind in kinds)] for row in run["rows"]]
    return run, markdown_table(["target", *kinds], rows)


def measurements_page() -> str:
    """`measurements.md`."""
    rank, networks, queries = (json.loads((RESULTS / f"{name}.json").read_text()) for name in (
        "rank", "vela_networks", "queries"
    ))  # fmt: skip
    ranks = [
        [row["network"].split("/")[1], row["oracle"], f"{row['spearman']:.3f}", f"{row['misordered_percent']:.1f} %",
         f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}"]
        for row in rank["rows"]["rows"]
    ]  # fmt: skip
    return MEASUREMENTS.format(
        rank_command=rank["command"],
        rank=markdown_table(["network", "oracle", "rank correlation", "misordered", "oracle / ceil"], ranks),
        networks=_networks(networks),
        networks_command=networks["command"],
        peaks=_peaks(networks),
        queries=_queries(queries),
        **_coverage(),
        **_speed(),
        **_real(),
        deployed=deployed.section(),
        onnx_files=onnx_files.section(),
        sweeps=sweeps.section(),
    )


def _networks(data: dict) -> str:
    rows, names = data["rows"], {row["network"] for row in data["rows"]}
    lines = [
        f"{len(names)} networks: torchvision's CNNs (classification and segmentation) of at most 150 million weights, and "
        "one of each variant of timm's MobileNet-class and some further families, at their usual input size. "
        f"`{data['command']}`",
        "",
    ]
    table = []
    for id, said in data["summary"].items():
        source = next(row["source"] for row in rows if row.get("target") == id)
        table.append([source, str(said["networks"]), str(said["whole"]), str(said["all_on_npu"])])
    lines.append(
        markdown_table(
            ["compiler and system", "networks", "compiled as a whole", "with nothing left to the CPU"], table
        )
    )
    lines += [
        "",
        "Not as a whole: where we have no TFLite form for an operator, the sum over layers is printed with this reason; "
        "where the compiler itself fails, its message ends the run.",
        "",
    ]
    lines += [f"- {row['network']}: {row['reason'].strip()}" for row in rows if row.get("reason")]
    lines += ["", "With operators left to the CPU, which the note under `padless inspect` names:", ""]
    fallback = [row for row in rows if row.get("cpu_operators")]
    lines += [f"- {row['network']} on {row['target']}: {row['note'].partition(': ')[2]}" for row in fallback]
    checked = [row for row in rows if row.get("command_line")]
    lines += ["", "The totals against those of Vela's own command line on the same file:", ""]
    lines.append(markdown_table(
        ["network", "target", "cycles", "NPU cycles", "command line"],
        [[r["network"], r["target"], f"{r['cycles']:,}", f"{r['npu_cycles']:,}", r["command_line"]] for r in checked],
    ))  # fmt: skip
    return "\n".join(lines)


def _peaks(data: dict) -> str:
    rows = [
        [
            id,
            str(said["whole"]),
            f"{said['peak_ratio_median']:.3f}",
            f"{said['peak_ratio_low']:.3f}",
            f"{said['peak_ratio_high']:.3f}",
        ]
        for id, said in data["summary"].items()
        if all(row["source"].endswith("Shared_Sram") for row in data["rows"] if row.get("target") == id)
    ]
    return markdown_table(["target", "networks", "median ratio", "least", "most"], rows)


def _queries(data: dict) -> str:
    row = data["rows"][0]
    return (
        f"{row['queries']:,} different convolutions on Arm's compiler with {row['workers']} workers: "
        f"{row['fresh_seconds']:.1f} s fresh, {row['cached_seconds']:.3f} s from the cache, {row['killed_seconds']:.1f} s "
        f"with all workers killed every 1.5 s (equal answers). Medians of {data['rounds']}. `{data['command']}`"
    )


def _coverage() -> dict[str, Any]:
    """What the section on coverage says."""
    data, properties = (json.loads((RESULTS / f"{name}.json").read_text()) for name in ("coverage", "properties"))
    errors = [row["padless"][id]["error"] for row in data["rows"] for id in data["targets"]]
    aligned = [row["torch_pruning"].get("aligned_outputs_percent") for row in data["rows"]]
    named = {
        "torchvision": "torchvision's classification CNNs",
        "timm": "timm, one or two of each convolutional family",
        "hybrids": "timm and torchvision, convolution and attention",
    }
    rows = [
        [text, *(str(data["summary"][part][key]) for key in ("networks", "padless", "torch_pruning"))]
        for part, text in named.items()
    ]
    return {
        "worst": max(errors),
        "even": aligned.count(100),
        "runs": len(aligned) - aligned.count(None),
        "coverage": markdown_table(["", "networks", "padless", "Torch-Pruning"], rows),
        "random": properties["examples"],
        "blocks": len(properties["blocks"]),
    }


def _real() -> dict[str, Any]:
    """What the section on networks that people bring says."""
    rows = [row for row in json.loads((RESULTS / "real_networks.json").read_text())["rows"] if "not_built" not in row]
    families: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        families.setdefault(row["network"].split("/")[0], []).append(row)
    targets = ("unit:16", "ethos-u85-512")

    def sound(row: dict[str, Any]) -> bool:
        cuts = [t for t in targets if f"{t} error" in row]
        return bool(cuts) and "traceback" not in row and all(row[f"{t} avoidable_percent"] == 0 for t in cuts)

    table = [
        [family, str(len(members)), *(str(sum(map(holds, members))) for holds in (
            lambda row: row["traces"], sound, lambda row: row.get("whole", False)
        ))]
        for family, members in families.items()
    ]  # fmt: skip
    late = [row["network"] for row in rows if "ended" in row]
    wasting = [
        f"{row['network']} on {t} ({row[f'{t} avoidable_percent']:.2f} %)"
        for row in rows for t in targets if row.get(f"{t} avoidable_percent")
    ]  # fmt: skip
    whys: dict[str, list[str]] = {}
    for row in rows:
        if row.get("whole") is False:
            reason = re.search(r"as a whole: (\S+ .*?)(?: \(module|\. Its layers|$)", row["note"])
            whys.setdefault(reason[1] if reason else row["note"], []).append(row["network"])
    return {
        "real_networks": len(rows),
        "real_worst": max(row[f"{t} error"] for row in rows for t in targets if f"{t} error" in row),
        "real": markdown_table(["", "networks", "traced", "cut", "whole"], table),
        "late": "" if not late else f" Not done within the time limit: {', '.join(late)}.",
        "refused": ", ".join(row["network"] for row in rows if not row["traces"] and "ended" not in row),
        "not_cut": ", ".join(
            row["network"] for row in rows if row["traces"] and not any(f"{t} error" in row for t in targets)
        ),
        "wasting": "" if not wasting else f" Avoidable waste is left: {', '.join(wasting)}.",
        "not_whole": "; ".join(f"{', '.join(names)} ({why})" for why, names in whys.items()),
    }


def _speed() -> dict[str, Any]:
    """What the section on speed says."""
    data = json.loads((RESULTS / "speed.json").read_text())
    rows = [
        [row["network"], *(f"{row[tool]['total']:.3f}" for tool in ("padless", "torch_pruning")),
         f"{row['median_ratio']:.1f}", f"{row['padless']['check']:.2f}"]
        for row in data["rows"]
    ]  # fmt: skip
    chains = [row["ms_per_layer"] for row in data["growth"] if row["network"].startswith("chain")]
    return {
        "repeats": data["repeats"],
        "faster": data["geometric_mean_ratio"],
        "speed": markdown_table(["network", "padless, s", "Torch-Pruning, s", "times as fast", "the check, s"], rows),
        "least": min(chains),
        "most": max(chains),
    }


def _or(value: int | None) -> str:
    return "?" if value is None else str(value)


def schema() -> str:
    """`target.schema.json`."""
    return json.dumps(Target.model_json_schema(by_alias=True), indent=1) + "\n"


PAGES = {"targets.md": targets_page, "target.schema.json": schema, "measurements.md": measurements_page}


def write() -> None:
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
