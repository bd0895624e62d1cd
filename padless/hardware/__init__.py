"""What a target computes and stores channels in, and where each number comes from."""

from padless.hardware.facts import Fact
from padless.hardware.rounding import ceil_div, round_up
from padless.hardware.schema import Target
from padless.hardware.tables import Units
from padless.hardware.target import load_target, read_target, targets

__all__ = ["Fact", "Target", "Units", "ceil_div", "load_target", "read_target", "round_up", "targets"]
