"""Which entries are refused after processes died while applying them."""

from ciao_stream.stream.learner import start_guard
from ciao_stream.stream.learner.start_guard import StartGuard


def lives(path, *ends):
    """Let a learner start and die at these entries, by a crash or a kill; return the guard of the next start."""
    for marked, crashed in ends:
        guard = StartGuard(path)
        guard.begin("5-0")
        if guard.single_step and marked:
            guard.mark(marked)
            guard.trace.write_text("Fatal Python error" if crashed else "")
    guard = StartGuard(path)
    guard.begin("5-0")
    return guard


def test_an_entry_that_crashes_the_process_is_refused_after_the_third_start(tmp_path):
    assert not lives(tmp_path / "a.json", ("7-0", True), ("7-0", True)).condemned("7-0")
    guard = lives(tmp_path / "b.json", *[("7-0", True)] * 3)
    assert guard.condemned("7-0")
    assert not guard.condemned("8-0")
    guard.end()
    assert not [*tmp_path.glob("b.*")]


def test_single_stepping_ends_after_enough_entries(tmp_path):
    guard = lives(tmp_path / "a.json", *[(None, False)] * 3)
    for number in range(start_guard.SINGLE_STEPS):
        assert guard.single_step
        guard.mark(f"6-{number}")
        guard.unmark()
    assert not guard.single_step


def test_only_repeated_deaths_at_one_entry_condemn_it(tmp_path):
    kills = [("7-0", False)] * (1 + start_guard.ENDS)
    guard = lives(tmp_path / "a.json", *kills)
    assert not guard.condemned("7-0")
    guard.mark("7-0")
    guard.unmark()
    assert not lives(tmp_path / "a.json", ("8-0", False), ("7-0", False)).condemned("7-0")
    assert lives(tmp_path / "b.json", *kills, ("7-0", False)).condemned("7-0")
