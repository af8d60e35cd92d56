"""A world is a task's mask and head: its settings, its training, its answers, its files."""
