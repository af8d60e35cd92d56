"""Data sets as tasks: one file in ``datasets`` is one task on disk, ``synthetic`` renders worlds.

``names`` lists them, ``tasks`` loads them, ``streams`` makes an Avalanche benchmark of them.
"""
