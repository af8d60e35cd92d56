"""Faces as data: tasks, data sets, readers, detection, crops and statistics."""
