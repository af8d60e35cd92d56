"""What strategies share: the order of tasks, training per task, one head for all, frozen features, streams."""
