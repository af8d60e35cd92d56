"""Answer frames with the newest worlds."""
