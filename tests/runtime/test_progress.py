"""Progress on a terminal, and none at all."""

import io

from rich.console import Console

from ciao_stream.runtime.console import ConsoleProgress
from ciao_stream.runtime.progress import SILENT


def shown(work):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    work(ConsoleProgress(console))
    return console.file.getvalue()


def work(progress):
    with progress.bar("load fer") as bar:
        bar.advance()
    with progress.bar("encode fer", 4) as outer, progress.bar("encode jaffe", 2) as inner:
        outer.advance(3)
        inner.reach(2)
        outer.reach(4, "encoded fer")


def test_bars_show_what_is_done_and_how_much():
    text = shown(work)
    for part in ("load fer", "encode jaffe", "2/2", "encoded fer", "4/4"):
        assert part in text


def test_bars_can_follow_one_another():
    text = shown(lambda progress: [work(progress), work(progress)])
    assert text.count("load fer") >= 2


def test_a_bar_ends_with_an_error_that_is_passed_on():
    def failing(progress):
        try:
            with progress.bar("encode fer", 4):
                raise ValueError
        except ValueError:
            work(progress)

    assert "4/4" in shown(failing)


def test_silent_progress_does_nothing(capsys):
    work(SILENT)
    assert capsys.readouterr() == ("", "")
