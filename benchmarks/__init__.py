"""Data sets as tasks.

``names`` lists them and ``tasks`` loads them: from ``datasets`` (one file per task), from a user's ``own`` faces, or
from ``synthetic`` worlds. ``protocols`` makes splits and labels, ``streams`` an Avalanche benchmark of tasks.
"""
