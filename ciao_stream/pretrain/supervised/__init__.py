"""Training with classes, to compare encoders that saw fine labels with those that did not."""
