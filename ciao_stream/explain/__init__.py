"""Where a world looks, what its mask lets through, and whether the maps that say so mean anything."""
