"""Check data sets before you learn from them, and fetch weights."""
