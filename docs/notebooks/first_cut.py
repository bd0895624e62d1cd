"""The first cut, step by step: a notebook as a script. `python docs/notebooks/first_cut.py` runs it, too."""

# %% [markdown]
# # First cut
#
# A small ResNet reads handwritten digits. We halve what it costs on an Arm Ethos-U55-256, and see at each step what
# happened. All it needs ships with padless: 1,797 images of 8x8 pixels, drawn up to 16x16, and a
# network that is trained here, in seconds. So the numbers show how the tool is used, not how good it is:
# [results](../results.md) has those.

# %% [markdown]
# ## Images and a network
#
# Your own images come the same way: [what `load_images` reads](../own-data.md).

# %%
import torch

import padless
from padless.demo import DigitsResNet

images = padless.load_images("digits", shape=(1, 16, 16))
images

# %%
torch.manual_seed(0)
model = DigitsResNet()
padless.finetune(model, images, padless.Recipe(epochs=4, peak_lr=0.1, batch=64))
print(f"{padless.evaluate(model, images):.1f} % of the test images are read right")

# %% [markdown]
# ## What does it cost?
#
# `inspect` asks Arm's own compiler, Vela, about the whole network. *Removable* is the share of multiplications that
# are padding and that a cut to whole units would take away. It is 0 here: all widths are multiples of 32. What is left to
# save is whole units. The [glossary](../glossary.md) explains each word.

# %%
example = torch.zeros(1, 1, 16, 16)
cost = padless.inspect(model, example, target="ethos-u55-256")
cost

# %% [markdown]
# ## Which channels go together?
#
# Channels that are added to one another must be cut together. padless finds these groups by recording one run.

# %%
padless.trace(model, example)

# %% [markdown]
# ## Choose
#
# Half the cycles, the most importance. The images say what each channel is worth; their labels are not looked at.

# %%
batches = list(images.calibration(256, seed=0))
plan = padless.plan(model, example, target="ethos-u55-256", budget="cycles=50%", images=batches)
plan

# %% [markdown]
# ## Cut, and give the accuracy back
#
# `prune` proves that the small network computes what the large one does without the removed channels. `recover`
# solves for the weights that are left, without labels. One epoch of training does the rest.

# %%
small = padless.prune(model, plan)
print(f"cut:        {padless.evaluate(small, images):.1f} %")
padless.recover(small, model, plan, batches)
print(f"recovered:  {padless.evaluate(small, images):.1f} %")
padless.finetune(small, images, padless.Recipe(epochs=1), teacher=model)
print(f"fine-tuned: {padless.evaluate(small, images):.1f} %")

# %% [markdown]
# ## The file that is flashed
#
# INT8, calibrated on the same images, and checked in LiteRT, Google's own interpreter.

# %%
exported = padless.export(small, example, "first_cut.tflite", images=batches, test=images)
print(f"{exported.file}: {exported.file.stat().st_size:,} bytes, {exported.fidelity.accuracy:.1f} % in LiteRT")

# %% [markdown]
# ## Next
#
# - [Your own model](../your-model.md).
# - The same on the command line, up to the header for the board: [keyword spotting](../tutorials/keyword-spotting.md).
