"""What torchrun starts in train/test_fabric.py: a short training, its loss curve and weights written by the first process."""

import atexit
import json
import os
import sys

import torch
from safetensors.torch import save_file
from torch import nn

from padless import Recipe, finetune, load_images
from padless.train import make_fabric


class Double(nn.Module):
    def forward(self, x):
        return x.double()


if __name__ == "__main__":
    torch.set_num_threads(1)
    atexit.register(lambda: torch.distributed.is_initialized() and os._exit(3))  # which may abort at the very end
    fabric = make_fabric("cpu")
    torch.manual_seed(0)
    model = nn.Sequential(
        Double(), nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16),
        nn.ReLU(), nn.Flatten(), nn.Linear(256, 10),
    ).double()  # fmt: skip
    history = finetune(
        model, load_images("digits", shape=(1, 16, 16)), Recipe(**json.loads(sys.argv[1])), fabric=fabric
    )
    if fabric.is_global_zero:
        save_file(model.state_dict(), f"{sys.argv[2]}.safetensors")
        with open(f"{sys.argv[2]}.json", "w") as file:
            json.dump({"world": fabric.world_size, "losses": history.step_losses}, file)
