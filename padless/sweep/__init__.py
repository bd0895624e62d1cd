"""Many runs as one: a grid of points, on this machine or a cluster; each point once, whatever stops in between."""

from padless.sweep.drive import sweep
from padless.sweep.point import Point

__all__ = ["Point", "sweep"]
