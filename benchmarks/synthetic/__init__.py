"""Synthetic worlds: drawn faces that each world labels by its own rule, with known ground truth.

They are used when no real data set is given, and marked ``synthetic`` in all outputs.
"""

from benchmarks.names import WORLDS
from benchmarks.synthetic.ceiling import agreement, universal_ceiling
from benchmarks.synthetic.worlds import RENDERER_VERSION, load

__all__ = ["RENDERER_VERSION", "WORLDS", "agreement", "load", "universal_ceiling"]
