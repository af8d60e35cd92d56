"""Training of encoders: one package, one method."""
