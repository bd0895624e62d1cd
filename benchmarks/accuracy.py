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

from common import SHARED, need_shared, write

ROOT = Path(__file__).parents[1]
KEYS = ("cycles", "npu_cycles", "macs", "padded_macs", "wasted_macs_percent", "avoidable_macs_percent",
        "wasted_weight_percent", "wasted_activation_percent", "peak_sram_bytes", "accuracy", "accuracy_before_recovery",
        "accuracy_after_recovery", "oracle")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["vgg16_bn", "resnet18"])
    parser.add_argument("--epochs", default="1")
    parser.add_argument("--budget", default="cycles=50%")
    given = parser.parse_args()
    need_shared()
    rows = []
    for network in given.networks:
        for align in ("unit", "none"):
            folder = Path("runs") / f"{network}-{align}-{given.budget.replace('%', '')}-{given.epochs}"
            if not (ROOT / folder / "summary.json").exists():
                shared = Path("..") / SHARED.name
                command = [
                    "padless", "prune", f"cifar10/{network}", "--weights", f"{shared}/weights/{network}.safetensors",
                    "--data", f"{shared}/data/cifar10-jpeg", "--target", "ethos-u55-256", "--budget", given.budget,
                    "--align", align, "--allocate", "global", "--importance", "l1", "--recover", "bn",
                    "--calibration", "2048", "--epochs", given.epochs,
                    "--out", str(folder),
                ]  # fmt: skip
                program = Path(sys.executable).with_name("padless")
                subprocess.run([program, *command[1:]], check=True, cwd=ROOT)
            summary = json.loads((ROOT / folder / "summary.json").read_text())
            kept = {side: {k: summary[side][k] for k in KEYS if k in summary[side]} for side in ("before", "after")}
            facts = {k: summary[k] for k in ("budgets", "equivalence_max_error", "command")}
            rows.append({"network": network, "align": align, **kept, **facts})
            write("accuracy", rows, seed=0, epochs=given.epochs, accuracy="last epoch")
    columns = ("cycles %", "waste %", "dense", "cut", "norm", "tuned")
    print(f"\n{'network':10} {'align':6}" + "".join(f"{name:>9}" for name in columns))
    for row in rows:
        before, after = row["before"], row["after"]
        accuracies = [after[k] for k in ("accuracy_before_recovery", "accuracy_after_recovery", "accuracy")]
        shares = [100 * after["cycles"] / before["cycles"], after["wasted_macs_percent"]]
        numbers = "".join(f"{number:>9.2f}" for number in [*shares, before["accuracy"], *accuracies])
        print(f"{row['network']:10} {row['align']:6}{numbers}")


if __name__ == "__main__":
    main()
