"""Gaps and repeats in the numbers of each producer."""

import json

import pytest

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.learner import counters
from ciao_stream.stream.learner.counters import SequenceTracker, Step


def seen(numbers, producer="camera"):
    tracker = SequenceTracker()
    return tracker, [tracker.see(producer, number) for number in numbers]


@pytest.mark.parametrize(
    ("numbers", "lost", "repeated"),
    [([0, 1, 2], 0, 0), ([0, 2], 1, 0), ([3], 3, 0), ([0, 1, 1, 0, 2], 0, 2), ([0, 5, 3, 6], 4, 1)],
    ids=str,
)
def test_gaps_count_as_lost_and_old_numbers_as_repeated(numbers, lost, repeated):
    tracker, steps = seen(numbers)
    assert (tracker.lost, tracker.repeated) == (lost, repeated)
    assert sum(step.lost for step in steps) == lost
    assert sum(step.repeated for step in steps) == repeated


def test_producers_are_counted_separately():
    tracker, _ = seen([0, 1])
    assert tracker.see("other", 0) == Step()
    assert tracker.see("camera", 3) == Step(lost=1)


def test_the_state_survives_json():
    tracker, _ = seen([0, 4, 2])
    again = SequenceTracker.from_json(json.loads(json.dumps(tracker.to_json())))
    assert again.to_json() == tracker.to_json()
    assert again.see("camera", 5) == tracker.see("camera", 5) == Step()


@pytest.mark.parametrize("state", [{}, {"lost": 0, "repeated": 0, "next": [1]}, {"lost": "x"}], ids=str)
def test_a_wrong_state_is_refused(state):
    with pytest.raises(CiaoError, match="not a sequence tracker's state"):
        SequenceTracker.from_json(state)


def test_the_state_is_bounded_and_evicts_the_least_recently_seen_producer(monkeypatch):
    monkeypatch.setattr(counters, "PRODUCERS", 2)
    tracker = SequenceTracker()
    for producer, number in (("a", 0), ("b", 0), ("a", 1), ("c", 0)):
        tracker.see(producer, number)
    assert [name for name, _ in tracker.to_json()["next"]] == ["a", "c"]
    assert tracker.lost == 0
