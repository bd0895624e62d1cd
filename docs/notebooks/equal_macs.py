"""Ours against Torch-Pruning, at equal MACs: a notebook as a script. `python docs/notebooks/equal_macs.py` runs it, too."""

# %% [markdown]
# # Ours against Torch-Pruning, at equal MACs
#
# Two ways of halving a small ResNet's MACs on the digits, counted by one counter and fine-tuned alike.
# Then the question that an NPU asks: how much of what it computes is padding? Needs `pip install
# torch-pruning==1.6.1`. Two minutes on a laptop.

# %%
import copy

import torch
import torch_pruning as tp

import padless
from padless.demo import DigitsResNet

EPOCHS = 5  # of the dense network; each pruned one is fine-tuned for two
images = padless.load_images("digits", shape=(1, 16, 16))
torch.manual_seed(0)
model = DigitsResNet()
padless.finetune(model, images, padless.Recipe(epochs=EPOCHS, peak_lr=0.1, batch=64))
example = torch.zeros(1, 1, 16, 16)
batches = list(images.calibration(256, seed=0))
print(f"Dense: {padless.evaluate(model, images):.2f} %")

# %% [markdown]
# ## Torch-Pruning
#
# By the magnitude of filters, one ratio for all layers. Its `pruning_ratio` is a share of channels, so
# `padless.match` turns it until half of the MACs are left.


# %%
def torch_pruning(ratio: float) -> DigitsResNet:
    small = copy.deepcopy(model)
    importance = tp.importance.GroupMagnitudeImportance(p=2)
    tp.pruner.BasePruner(small, example, importance=importance, pruning_ratio=ratio, ignored_layers=[small[-1]]).step()
    return small


theirs = padless.match(model, example, method=torch_pruning, budget="macs=50%")
print(theirs)

# %% [markdown]
# ## Ours
#
# The same number of MACs, in units of 16 channels, chosen by what the layers behind lose.

# %%
plan = padless.plan(model, example, target="unit:16", budget=f"macs={theirs.reached}", images=batches)
ours = padless.prune(model, plan)
padless.recover(ours, model, plan, batches)
print(f"{plan.after['macs']:,} MACs, before any training {padless.evaluate(ours, images):.2f} %")

# %% [markdown]
# ## Fine-tuned alike, and what an NPU of 16 channels makes of both

# %%
rows = {}
for name, small in (("Torch-Pruning", theirs.model), ("padless", ours)):
    padless.finetune(small, images, padless.Recipe(epochs=2), teacher=model)
    totals = padless.inspect(small, example, target="unit:16").totals()
    rows[name] = totals, padless.evaluate(small, images)

print(f"{'':15}{'MACs':>12}{'computed, padded':>18}{'avoidable':>11}{'top-1':>9}")
for name, (totals, accuracy) in rows.items():
    print(
        f"{name:15}{totals['macs']:12,}{totals['padded_macs']:18,}{totals['avoidable_macs_percent']:10.2f}%{accuracy:8.2f}%"
    )

# %% [markdown]
# Equal MACs are not equal work: channels of no whole units are padded up, and the NPU multiplies zeros. `padless
# reproduce` does this with larger networks, several seeds and an NPU's own compiler; see [results](../results.md).
# One seed of a toy says little of accuracy.
