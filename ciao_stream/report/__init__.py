"""What a benchmark found: rows, intervals, the results document, its table and its figures."""
