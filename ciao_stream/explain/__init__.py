"""Where a world looks, what its mask lets through, and whether these maps mean anything."""
