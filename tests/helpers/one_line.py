"""Watches how a csv file is read."""

from ciao_stream.faces.readers import csv_lines


def watch_lines(monkeypatch, module):
    """Return a list that receives the size of each line that ``module`` reads."""
    sizes, read_lines = [], csv_lines.read_lines

    def spy(path):
        for line in read_lines(path):
            sizes.append(len(line.raw))
            yield line

    monkeypatch.setattr(f"{module}.read_lines", spy)
    return sizes
