"""A world is a task's mask and head: settings, training, predictions and files."""
