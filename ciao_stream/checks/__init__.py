"""Checks that your own encoder, mask, data set or strategy keeps the promises that the toolkit relies on."""
