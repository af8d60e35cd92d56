"""Synthetic worlds: drawn faces whose meaning each world reads in its own way, with known ground truth.

They stand in wherever no real data set is given, and are marked ``synthetic`` in everything they touch.
"""

from benchmarks.names import WORLDS
from benchmarks.synthetic.ceiling import agreement, universal_ceiling
from benchmarks.synthetic.worlds import RENDERER_VERSION, load

__all__ = ["RENDERER_VERSION", "WORLDS", "agreement", "load", "universal_ceiling"]
