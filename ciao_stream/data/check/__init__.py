"""Whether a folder of data sets holds what it should: counts, unreadable images, duplicates, leaks, identities."""
