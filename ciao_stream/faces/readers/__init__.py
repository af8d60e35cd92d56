"""Image sources: where faces are read from, one at a time."""
