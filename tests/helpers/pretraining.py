"""Runs of ``pretrain`` as a user starts them."""

import csv


def rows(out):
    """The curves of a run."""
    with (out / "losses.csv").open() as file:
        return list(csv.DictReader(file))


def refusal(capsys, code):
    """The one line of the error with which a run ended."""
    assert code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line
