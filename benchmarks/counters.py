"""MACs of the same networks by padless, by Torch-Pruning and by PyTorch's own counter: `python benchmarks/counters.py`."""

import torch
import torch_pruning
from torch.utils.flop_counter import FlopCounterMode

from padless import load_model, trace

NETWORKS = ("torchvision/resnet18", "torchvision/vgg16_bn", "torchvision/mobilenet_v2", "torchvision/densenet121",
            "torchvision/vit_b_16", "cifar10/resnet18")  # fmt: skip


def main() -> None:
    print(f"{'':28}{'padless':>16}{'Torch-Pruning':>16}{'FlopCounter / 2':>18}")
    for name in NETWORKS:
        torch.manual_seed(0)
        loaded = load_model(name)
        model, x = loaded.model.eval(), torch.zeros(loaded.input_shape)
        ours = sum(layer.macs for layer in trace(model, x).layers)
        theirs, _ = torch_pruning.utils.count_ops_and_params(model, x)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(x)
        print(f"{name:28}{ours:16,}{round(theirs):16,}{counter.get_total_flops() // 2:18,}")


if __name__ == "__main__":
    main()
