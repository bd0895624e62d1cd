"""The trial: hostile and unlucky inputs of every kind, from a seed, through the entry points that users call."""
