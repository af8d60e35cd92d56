"""``python -m ciao_stream.stream label``: what it sends, and to which frame."""

import json

import numpy as np
import pytest

from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream import __main__ as stream
from ciao_stream.stream.learner.status import FORMAT
from ciao_stream.stream.log.append import Appender
from ciao_stream.stream.log.connection import RedisAddress
from ciao_stream.stream.log.events import LabelCame
from ciao_stream.stream.log.images import write_image
from ciao_stream.stream.log.messages import decode, encode_frame, encode_task
from tests.helpers.redis_server import running

MOOD = TaskSpec("mood", "categorical", ("calm", "glad"))
VA = TaskSpec("feel", "dimensional", ("arousal", "valence"))
FACE = write_image(np.zeros((8, 8), np.uint8), "png")


@pytest.fixture
def redis(tmp_path):
    """The URL of a server whose stream holds two tasks and two frames of each, and a reader of what came after."""
    with running(tmp_path / "data") as server:
        url = str(server.address)
        appender = Appender(RedisAddress.parse(url))
        sent = [encode_task(spec, producer="p", seq=i) for i, spec in enumerate((MOOD, VA))]
        for i, task in enumerate(("mood", "mood", "feel", "feel")):
            sent.append(encode_frame(FACE, task=task, frame_id=f"p/{i}", producer="p", seq=2 + i))
        for fields in sent:
            last = appender.append(fields)
        appender.close()

        def labels():
            client = RedisAddress.parse(url).client()
            try:
                return [
                    decode(position.decode(), fields, {"mood": MOOD, "feel": VA})
                    for position, fields in client.xrange("frames", f"({last}")
                ]
            finally:
                client.close()

        yield url, labels


def test_a_label_goes_to_the_frame_that_is_named(redis, capsys):
    url, labels = redis
    assert stream.main(["label", "p/0", "glad", "--task", "mood", "--redis", url, "--annotator", "ann"]) == 0
    (event,) = labels()
    assert isinstance(event, LabelCame)
    assert (event.task, event.frame_id, event.label) == ("mood", "p/0", "glad")
    assert "sent label glad of p/0; see `dead` if the learner refuses it, `status` if it is too late" in " ".join(
        capsys.readouterr().out.split()
    )


def test_the_newest_frame_is_the_newest_of_its_task(redis):
    url, labels = redis
    assert stream.main(["label", "newest", "calm", "--task", "mood", "--redis", url]) == 0
    values = '{"arousal": 0.5, "valence": -0.25}'
    assert stream.main(["label", "newest", values, "--task", "feel", "--redis", url]) == 0
    first, second = labels()
    assert (first.frame_id, first.label) == ("p/1", "calm")
    assert (second.frame_id, dict(second.label)) == ("p/3", {"arousal": 0.5, "valence": -0.25})


def test_a_label_that_was_declared_after_the_learner_stopped_is_sent(redis, tmp_path):
    url, labels = redis
    fewer = TaskSpec("mood", "categorical", ("calm", "sad")).to_json()
    (tmp_path / "status.json").write_text(json.dumps({"format": FORMAT, "redis": url, "tasks": [fewer]}))
    argv = ["--task", "mood", "--redis", url, "--worlds", str(tmp_path)]
    assert stream.main(["label", "p/0", "glad", *argv]) == 0
    assert [event.label for event in labels()] == ["glad"]


def test_a_correction_is_one_more_label(redis):
    url, labels = redis
    for label in ("calm", "glad", "glad"):
        assert stream.main(["label", "p/1", label, "--task", "mood", "--redis", url]) == 0
    assert [event.label for event in labels()] == ["calm", "glad", "glad"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["newest", "glad", "--task", "nobody"], "no frame of task 'nobody' among the newest 1,000 entries"),
        (["p/0", "{glad", "--task", "mood"], "label {glad: not valid JSON"),
        (["p/0", '{"glad": NaN}', "--task", "nobody"], "not JSON compliant"),
        (["newest", "gald", "--task", "mood"], "task 'mood' has no label 'gald': did you mean 'glad'?"),
        (["newset", "glad", "--task", "mood"], "no frame 'newset' in stream 'frames': did you mean 'newest'?"),
        (["p/0", "glad", "--task", "moood"], "unknown task 'moood': did you mean 'mood'? (known: mood)"),
    ],
)
def test_a_label_that_cannot_be_sent_is_refused_in_one_line(redis, argv, message, capsys, tmp_path):
    url, labels = redis
    if "moood" in argv:
        status = {"format": FORMAT, "redis": url, "tasks": [MOOD.to_json()]}
        (tmp_path / "status.json").write_text(json.dumps(status))
        argv = [*argv, "--worlds", str(tmp_path)]
    assert stream.main(["label", *argv, "--redis", url]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert labels() == []
