"""Our own encoders: one file, one encoder."""
