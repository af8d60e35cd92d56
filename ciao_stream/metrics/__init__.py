"""Metrics: scores, details of predictions, and transfer between tasks."""
