"""What a target computes and stores channels in, and where each number comes from."""

from padless.hardware.facts import Fact
from padless.hardware.rounding import round_up
from padless.hardware.target import Target, Units, load_target, targets

__all__ = ["Fact", "Target", "Units", "load_target", "round_up", "targets"]
