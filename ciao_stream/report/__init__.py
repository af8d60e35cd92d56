"""What a benchmark found: rows, intervals, the results document, its table, its figures and its page."""

from ciao_stream.report.__main__ import main

__all__ = ["main"]
