"""A job by name, done into one folder: pruning, fine-tuning, exporting, and going on from what is there."""
