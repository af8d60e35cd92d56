"""Training on classes as they are: what encoders that saw fine labels are worth, beside those that did not."""
