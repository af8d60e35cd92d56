"""Search for the best decision head, mask and training of each task."""
