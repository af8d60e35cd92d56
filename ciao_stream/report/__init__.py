"""What a benchmark found: rows, intervals, the results document, its table, its figures and its page."""
