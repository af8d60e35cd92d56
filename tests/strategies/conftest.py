"""Fixtures of all tests of strategies."""

from tests.helpers.sequences import cache as cache
from tests.helpers.sequences import ground as ground
