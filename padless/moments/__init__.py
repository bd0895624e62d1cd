"""What the rows of a layer's inputs and outputs say of its weights."""
