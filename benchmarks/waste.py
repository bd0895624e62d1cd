"""The paper's comparison: what general pruning wastes and NPU-aware pruning does not, VGG-16 and ResNet-18 on CIFAR-10.

python benchmarks/waste.py

Both prune the trained networks by global L1 at ratios of 30, 50 and 70 %, for units 8, 16 and 32; general pruning keeps
the widths that the threshold gives, NPU-aware pruning moves them to whole units. Ratios, criterion and units are our
reading of Lee et al. (ICEIC 2023), of which only the abstract is public. Uses trained weights where they are at hand,
random ones (and says so) elsewhere.
"""

import torch
from common import SHARED, write

from padless import load_target, load_weights, trace
from padless.choose import RATIOS, aligned_levels, free_levels, importance
from padless.cost import narrowed, network_cost
from padless.inputs.zoo import load_model

MEASURES = {
    "computation": "wasted_macs_percent",
    "weight space": "wasted_weight_percent",
    "activation space": "wasted_activation_percent",
}


def main() -> None:
    rows = []
    print(f"{'network':10}{'unit':>5}{'ratio':>7}   " + "".join(f"{m:>34}" for m in MEASURES))
    print(f"{'':25}" + f"{'general':>16}{'aware':>8}{'points':>10}" * len(MEASURES))
    for name in ("vgg16_bn", "resnet18"):
        torch.manual_seed(0)
        source = load_model(f"cifar10/{name}")
        weights = SHARED / "weights" / f"{name}.safetensors"
        if weights.exists():
            load_weights(source.model, weights)
        graph = trace(source.model, torch.zeros(source.input_shape))
        scores = importance(graph, source.model, "l1")
        for unit in (8, 16, 32):
            target = load_target(f"unit:{unit}")
            aligned = aligned_levels(graph, target)
            for ratio in (0.3, 0.5, 0.7):
                row = {"network": name, "trained": weights.exists(), "unit": unit, "ratio": ratio}
                for kind, levels in (("general", free_levels(graph)), ("aware", aligned)):
                    keep = scores.strongest(graph, RATIOS["global"](graph, scores, levels, ratio))
                    row[kind] = network_cost(graph, narrowed(graph, keep), target, aligned.fixed, None).totals()
                assert row["aware"]["avoidable_macs_percent"] == 0
                row["reduction_points"] = {
                    m: round(row["general"][k] - row["aware"][k], 2) for m, k in MEASURES.items()
                }
                rows.append(row)
                cells = "".join(
                    f"{row['general'][k]:>16.2f}{row['aware'][k]:>8.2f}{row['reduction_points'][m]:>10.2f}"
                    for m, k in MEASURES.items()
                )
                print(f"{name:10}{unit:>5}{ratio:>7.0%}   {cells}")
    write("waste", rows, seed=0, importance="l1", allocate="global")


if __name__ == "__main__":
    main()
