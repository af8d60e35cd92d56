"""How a run of pretraining is killed and resumed."""

import pytest

from ciao_stream.pretrain import training


class Stopped(BaseException):
    """Like kill -9: nothing catches it."""


@pytest.fixture
def stopped_and_resumed(monkeypatch):
    """A function that runs a command of six steps, is killed in one of them, and resumes; no step is done twice."""

    def run(learner, nth, start, resume):
        step, calls = learner.step, 0

        def stopping(*args):
            nonlocal calls
            calls += 1
            if calls == nth:
                raise Stopped
            return step(*args)

        monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", 0.0)
        monkeypatch.setattr(learner, "step", stopping)
        with pytest.raises(Stopped):
            start()
        calls = nth
        assert resume() == 0
        assert calls == nth + 6 - (nth - 1), "no step is done twice"

    return run
