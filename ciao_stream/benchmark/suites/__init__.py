"""Suites: questions that take more than one benchmark to answer."""
