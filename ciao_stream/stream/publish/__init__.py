"""Send frames and their labels to a stream."""
