"""Whole networks on Arm's compiler: how many, what is left to the CPU, and whether the totals are the command line's.

    python benchmarks/vela_networks.py [--only NAME ...]

Every torchvision CNN (classification and segmentation) of at most 150 million weights, and one of each variant of timm's
MobileNet-class and further families, random weights (seed 0), on ethos-u55-256 and ethos-u85-512 with Vela's default
system and memory mode. For the networks of `CHECKED` the file is also given to Vela's own command line, whose totals
must be equal. Beside it: the peak of activations by our live-range analysis, and Vela's peak SRAM.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import torch
from common import write

from padless import load_target, trace
from padless.cost.memory import peak_memory
from padless.cost.oracles import open_oracle
from padless.errors import OracleError
from padless.inputs import load_model
from padless.inputs.zoo import import_torchvision
from padless.progress import track
from padless.tflite import Unlowered, lower, nominal

TARGETS = ("ethos-u55-256", "ethos-u85-512")
CHECKED = (
    "cifar10/vgg16_bn", "cifar10/resnet18", "torchvision/mobilenet_v2", "torchvision/mobilenet_v3_small",
    "torchvision/efficientnet_b0",
)  # fmt: skip
LARGE = ("convnext_large", "regnet_y_128gf")  # of families that are here smaller: minutes and gigabytes each
TIMM = """
    mobilenetv1_100 mobilenetv2_100 mobilenetv3_large_100 mobilenetv3_small_100 mobilenetv4_conv_small
    mobilenetv4_conv_medium mobilenetv4_conv_blur_medium mobilenetv4_conv_aa_medium mobilenetv4_hybrid_medium mnasnet_100
    semnasnet_100 fbnetc_100 fbnetv3_b hardcorenas_a lcnet_100 tinynet_a ghostnet_100 ghostnetv2_100 ghostnetv3_050 mixnet_s
    tf_mixnet_s efficientnet_lite0 efficientnet_b0 tf_efficientnet_b0 tf_efficientnetv2_b0 efficientnet_es
    efficientnet_blur_b0 efficientnet_cc_b0_4e efficientnetv2_rw_t mobileone_s0 repvgg_a0 rexnet_100 spnasnet_100
    mobilenet_edgetpu_100 mobilenet_edgetpu_v2_xs regnetz_005 regnetx_002 regnety_002 resnet18 resnet18d resnetblur18
    skresnet18 seresnet18 legacy_seresnet18 fasternet_t0 starnet_s1 repghostnet_050 lcnetv2_small hgnetv2_b0
    edgenext_xx_small mobilevit_xxs convnext_atto cspdarknet53 darknet17 densenet121 dla34 ese_vovnet19b_dw selecsls42
    hrnet_w18_small repvit_m0_9 tresnet_m
""".split()  # noqa: SIM905


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="these networks alone")
    given = parser.parse_args()
    names = given.only or [*CHECKED[:2], *torchvisions(), *(f"timm/{name}" for name in TIMM)]
    oracles = {id: open_oracle("vela", load_target(id)) for id in TARGETS}
    rows = [row for name in track(names, "Compiling", total=len(names)) for row in compiled(name, oracles)]
    for oracle in oracles.values():
        oracle.close()
    summary = {}
    for id in TARGETS:
        mine = [row for row in rows if row.get("target") == id]
        npu = [row for row in mine if not row["cpu_operators"]]
        ratios = [row["peak_activation_bytes"] / row["peak_sram_bytes"] for row in mine]
        summary[id] = {
            "networks": len(names), "whole": len(mine), "all_on_npu": len(npu),
            "peak_ratio_median": round(median(ratios), 3), "peak_ratio_low": round(min(ratios), 3),
            "peak_ratio_high": round(max(ratios), 3),
        }  # fmt: skip
        print(id, summary[id])
    for row in rows:
        if row.get("command_line"):
            print(
                f"{row['network']:32} {row['target']:14} {row['cycles']:>11,} cycles, command line: {row['command_line']}"
            )
        if row.get("reason"):
            print(f"{row['network']}: {row['reason']}")
    write("vela_networks", rows, summary=summary, seed=0)


def torchvisions() -> list[str]:
    torchvision = import_torchvision()
    listed = [
        name
        for module in (torchvision.models, torchvision.models.segmentation)
        for name in torchvision.models.list_models(module=module)
    ]
    left_out = ("vit", "swin", "maxvit", *LARGE)
    return [f"torchvision/{name}" for name in listed if not name.startswith(left_out)]


def compiled(name: str, oracles: dict) -> list[dict]:
    torch.manual_seed(0)
    source = load_model(name)
    model = source.model.eval()
    graph = trace(model, torch.zeros(source.input_shape))
    try:
        lowered = lower(graph, model)
    except Unlowered as reason:
        return [{"network": name, "reason": str(reason)}]
    rows = []
    for id, oracle in oracles.items():
        try:
            cycles = oracle.compile(nominal(lowered), name, lowered.operators)
        except OracleError as reason:
            rows.append({"network": name, "reason": f"{id}: {reason}"})
            continue
        row = {
            "network": name, "target": id, "source": str(cycles.source), "cycles": cycles.total, "npu_cycles": cycles.npu,
            "cpu_operators": cycles.cpu_operators, "note": cycles.note, "peak_sram_bytes": cycles.peak_sram_bytes,
            "peak_activation_bytes": peak_memory(graph, load_target(id)).bytes,
        }  # fmt: skip
        if name in CHECKED:
            theirs = command_line(nominal(lowered), id)
            row["command_line"] = "equal" if theirs == (cycles.total, cycles.npu) else f"{theirs}"
        rows.append(row)
    return rows


def command_line(tflite: bytes, id: str) -> tuple[int, int]:
    """Total and NPU cycles that Vela's own command line writes for the file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.tflite"
        file.write_bytes(tflite)
        vela = Path(sys.executable).with_name("vela")
        subprocess.run(
            [vela, file, "--accelerator-config", id, "--output-dir", folder], check=True, capture_output=True
        )
        summary = next(csv.DictReader(next(Path(folder).glob("*_summary_*.csv")).read_text().splitlines()))
    return int(summary["cycles_total"]), int(summary["cycles_npu"])


if __name__ == "__main__":
    main()
