"""Finding a data set's files and reading its annotations."""
