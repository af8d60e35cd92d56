"""The demonstration: a drawn robot camera whose person and light change midway, learned from in real processes."""
