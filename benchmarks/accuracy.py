"""What NPU-aware and general pruning leave of the accuracy: VGG-16 and ResNet-18 on CIFAR-10 at half their Vela cycles.

python benchmarks/accuracy.py [--epochs 1] [--budget cycles=50%] [vgg16_bn resnet18]

Runs `padless prune` as a user would, on the trained networks and images beside the repository, and gathers the
summaries. A run that is there already is not repeated. The images are JPEGs: compare accuracies only within this data.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from common import SHARED, write

ROOT = Path(__file__).parents[1]
KEYS = ("cycles", "npu_cycles", "macs", "padded_macs", "wasted_macs_percent", "avoidable_macs_percent",
        "wasted_weight_percent", "wasted_activation_percent", "peak_sram_bytes", "accuracy", "accuracy_before_recovery",
        "accuracy_after_batchnorm", "oracle")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["vgg16_bn", "resnet18"])
    parser.add_argument("--epochs", default="1")
    parser.add_argument("--budget", default="cycles=50%")
    given = parser.parse_args()
    if not SHARED.exists():
        sys.exit(f"Skipped: no trained weights and images at {SHARED.name}/ beside the repository.")
    rows = []
    for network in given.networks:
        for align in ("unit", "none"):
            folder = Path("runs") / f"{network}-{align}-{given.budget.replace('%', '')}-{given.epochs}"
            if not (ROOT / folder / "summary.json").exists():
                shared = Path("..") / SHARED.name
                command = [
                    "padless", "prune", f"cifar10/{network}", "--weights", f"{shared}/weights/{network}.safetensors",
                    "--data", f"{shared}/data/cifar10-jpeg", "--target", "ethos-u55-256", "--budget", given.budget,
                    "--align", align, "--epochs", given.epochs, "--out", str(folder),
                ]  # fmt: skip
                program = Path(sys.executable).with_name("padless")
                subprocess.run([program, *command[1:]], check=True, cwd=ROOT)
            summary = json.loads((ROOT / folder / "summary.json").read_text())
            sides = {
                side: {k: summary[side].get(k) for k in KEYS if k in summary[side]} for side in ("before", "after")
            }
            rows.append({"network": network, "align": align, **sides, "outcome": summary["outcome"],
                         "equivalence_max_error": summary["equivalence_max_error"], "command": summary["command"]})  # fmt: skip
            write("accuracy", rows, seed=0, epochs=given.epochs, accuracy="last epoch")
    print(f"\n{'network':10} {'align':6} {'cycles':>8} {'waste %':>8} {'dense':>7} {'cut':>7} {'norm':>7} {'tuned':>7}")
    for row in rows:
        before, after = row["before"], row["after"]
        print(
            f"{row['network']:10} {row['align']:6} {after['cycles'] / before['cycles']:>8.1%} {after['wasted_macs_percent']:>8.2f} "
            f"{before['accuracy']:>7.2f} {after['accuracy_before_recovery']:>7.2f} {after['accuracy_after_batchnorm']:>7.2f} "
            f"{after['accuracy']:>7.2f}"
        )


if __name__ == "__main__":
    main()
