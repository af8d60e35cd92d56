"""The publisher: every message once and in order, whatever happens to the stream, the server and itself."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream import __main__ as stream
from ciao_stream.stream.log.connection import RedisAddress, UnreachableError
from ciao_stream.stream.log.images import IMAGE_BYTES, read_image
from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.messages import FrameHeader, LabelHeader, TaskHeader
from ciao_stream.stream.log.refusals import BadMessage
from ciao_stream.stream.publish import publisher as module
from ciao_stream.stream.publish.publisher import LONGEST_SIDE, Publisher, producer_name
from ciao_stream.stream.publish.settings import PublishSettings
from ciao_stream.stream.sources import DatasetOptions, Skipped, SourceFrame, open_source
from tests.helpers import ROOT, redis_server
from tests.helpers.sent_messages import PATIENCE_S, contents, entries, headers, until

SPEC = TaskSpec("mood", "categorical", ("calm", "glad"))


server = redis_server.empty


def frames_of(n=10, labelled=True):
    for number in range(n):
        image = np.full((12, 12), number, np.uint8)
        yield SourceFrame(number, image, SPEC.labels[number % 2] if labelled else None)


def publisher(server, producer="clip", settings=None, **options):
    return Publisher(lambda: server.address, producer, SPEC, settings, **options)


def test_the_task_is_declared_first_and_the_frames_follow_with_their_labels(server):
    published = publisher(server, place="left").run(frames_of(4))
    with server.client() as client:
        frames = entries(client)[1:]
        declared, *sent = headers(client)
    assert (declared.type, declared.target, declared.labels) == ("task", "categorical", ("calm", "glad"))
    assert [header.seq for header in sent] == [1, 2, 3, 4]
    assert [header.frame_id for header in sent] == [f"clip/{number}" for number in range(4)]
    assert [header.label for header in sent] == ["calm", "glad"] * 2
    assert {(header.producer, header.camera, header.captured_at) for header in sent} == {("clip", "left", None)}
    for number, (_, fields) in enumerate(frames):
        np.testing.assert_array_equal(read_image(fields[b"image"]), np.full((12, 12), number))
    assert (published.frames, published.labels, published.known) == (4, 4, 0)


def test_the_header_carries_what_is_known_of_a_frame(server):
    live = SourceFrame(7, np.zeros((9, 9, 3), np.uint8), captured_at=1700000000.5, person="Ada")
    publisher(server, settings=PublishSettings(form="jpeg")).run([live])
    with server.client() as client:
        (_, (_, fields)) = entries(client)
        header = headers(client)[1]
    assert (header.frame_id, header.captured_at, header.person) == ("clip/7", 1700000000.5, "Ada")
    assert fields[b"image"].startswith(b"\xff\xd8")


def test_frames_without_labels(server):
    published = publisher(server, settings=PublishSettings(labelled=False)).run(frames_of(3))
    assert (published.frames, published.labels) == (3, 0)
    with server.client() as client:
        assert [header.label for header in headers(client)[1:]] == [None] * 3


def test_labels_come_later_each_after_its_frame_and_the_last_ones_at_the_end(server):
    published = publisher(server, settings=PublishSettings(later=2)).run(frames_of(4))
    assert (published.frames, published.labels) == (4, 4)
    with server.client() as client:
        sent = [(header.type, getattr(header, "frame_id", None)) for header in headers(client)]
        labels = [header.label for header in headers(client) if isinstance(header, LabelHeader)]
        assert {header.label for header in headers(client) if isinstance(header, FrameHeader)} == {None}
    frame = [("frame", f"clip/{number}") for number in range(4)]
    label = [("label", f"clip/{number}") for number in range(4)]
    order = [frame[0], frame[1], frame[2], label[0], frame[3], label[1], label[2], label[3]]
    assert sent == [("task", None), *order]
    assert labels == ["calm", "glad"] * 2


def test_skipped_frames_are_counted_and_take_no_number(server):
    first, second, third = frames_of(3)
    blank = Skipped(second.number, "no face found", "frame 1: haar finds no face")
    more = Skipped(5, "no face found", "frame 5: haar finds no face")
    published = publisher(server).run([first, blank, third, more])
    assert published.frames == 2
    assert published.skipped == {"no face found": 2}
    assert published.examples == {"no face found": blank.text}
    with server.client() as client:
        assert [(header.frame_id, header.seq) for header in headers(client)[1:]] == [("clip/0", 1), ("clip/2", 2)]


@pytest.mark.parametrize("form", ["png", "jpeg"])
@pytest.mark.parametrize("shape", [(900, 900, 3), (400, 2000), (289, 10, 3), (4000, 1)])
def test_a_large_image_is_shrunk_until_it_fits(server, form, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    noise = image if form == "png" else image // 2
    publisher(server, settings=PublishSettings(form=form)).run([SourceFrame(0, noise)])
    with server.client() as client:
        fields = contents(client)[1]
    sent = read_image(fields[b"image"])
    assert max(sent.shape[:2]) == LONGEST_SIDE
    assert abs(sent.shape[1] / sent.shape[0] / (shape[1] / shape[0]) - 1) < 0.1 or min(sent.shape[:2]) == 1


def test_noise_of_the_largest_size_fits(server):
    image = np.random.default_rng(0).integers(0, 256, (LONGEST_SIDE, LONGEST_SIDE, 3), dtype=np.uint8)
    publisher(server).run([SourceFrame(0, image)])
    with server.client() as client:
        fields = contents(client)[1]
    np.testing.assert_array_equal(read_image(fields[b"image"]), image)
    assert len(fields[b"image"]) > 0.9 * IMAGE_BYTES, "or the limit could be higher"


# ---- again, and after kill -9 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [None, 3])
def test_a_publisher_that_is_restarted_resumes_where_it_was(server, later):
    settings = PublishSettings(later=later)

    def broken():
        yield from frames_of(6)
        raise RuntimeError("the cable")

    with pytest.raises(RuntimeError):
        publisher(server, settings=settings).run(broken())
    time.sleep(0.002)
    second = publisher(server, settings=settings).run(frames_of(10))
    assert (second.frames, second.labels) == (10, 10)
    time.sleep(0.002)
    third = publisher(server, settings=settings).run(frames_of(10))
    assert third.known == (11 if later is None else 21)
    publisher(server, settings=settings, names=StreamNames("whole")).run(frames_of(10))
    with server.client() as client:
        assert second.known == 7 if later is None else second.known == 1 + 6 + 3
        assert contents(client) == contents(client, "whole")
        assert len(contents(client)) == third.known


def replay(server, *more):
    source = ["dataset:fer", "--limit", "60", "--shuffle", "1", "--labels", "later:5"]
    return ["publish", *source, "--redis", server.url, *more]


def test_kill_9_in_the_middle_and_a_restart_give_the_stream_of_an_uninterrupted_run(server, capsys):
    with server.client() as client:
        for enough in (20, 75):
            argv = [sys.executable, "-m", "ciao_stream.stream", *replay(server, "--max-backlog", str(enough))]
            process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            until(lambda at_least=enough: client.xlen("frames") >= at_least)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            assert process.returncode == -signal.SIGKILL
        before = client.xlen("frames")
        assert before == 75, "it was killed in the middle"
        assert stream.main(replay(server)) == 0
        assert f"published 60 frames and 60 labels ({before:,} messages were sent before)" in capsys.readouterr().out
        assert stream.main(replay(server, "--stream", "whole")) == 0
        assert "published 60 frames and 60 labels; task" in capsys.readouterr().out
        assert contents(client) == contents(client, "whole")
        kinds = [type(header) for header in headers(client)]
        assert [kinds.count(kind) for kind in (TaskHeader, FrameHeader, LabelHeader)] == [1, 60, 60]


def test_another_content_under_the_same_name_is_refused(server):
    publisher(server).run(frames_of(2))
    with pytest.raises(BadMessage, match=r"clip/1.*with another frame"):
        publisher(server).run([next(frames_of()), SourceFrame(1, np.zeros((5, 5), np.uint8), "glad")])


def test_a_replayed_source_keeps_its_name_and_a_live_one_does_not():
    class Live:
        title, fingerprint = "camera0", None

    def name(settings=PublishSettings(), spec=SPEC, **more):  # noqa: B008
        source = open_source("dataset:fer", DatasetOptions(synthetic_size=4))
        return producer_name(source, spec, {**settings.decides(), **more})

    first, second = producer_name(Live, SPEC, {}), producer_name(Live, SPEC, {})
    assert first != second
    assert first.startswith("camera0-")
    assert name() == name() == name(PublishSettings(rate=5.0, limit=3))
    others = [PublishSettings(later=1), PublishSettings(form="jpeg"), PublishSettings(labelled=False)]
    longer = dataclasses.replace(SPEC, labels=(*SPEC.labels, "mad"))
    names = [name(), *map(name, others), name(PublishSettings(later=1, limit=3)), name(spec=longer), name(crop="haar")]
    assert len(set(names)) == len(names)


# ---- a full stream, a lost server -------------------------------------------------------------------------------


def test_the_publisher_waits_for_a_full_stream_and_drops_nothing(server, caplog):
    reports, lengths, gone = [], [], []
    sender = publisher(server, max_backlog=5)
    thread = threading.Thread(target=lambda: sender.run(frames_of(30), reports.append))
    thread.start()
    with server.client() as client:
        until(lambda: client.xlen("frames") == 5 and reports)
        time.sleep(0.2)
        assert sender.published.frames == 4, "it waits"
        while thread.is_alive() or client.xlen("frames"):
            lengths.append(client.xlen("frames"))
            for position, fields in client.xrange("frames", count=2):
                gone.append(fields)
                client.xdel("frames", position)
    thread.join()
    assert max(lengths) <= 5
    assert "5 entries wait" in reports[0]
    assert "waiting: stream 'frames' is full" in caplog.text
    publisher(server, names=StreamNames("whole")).run(frames_of(30))
    with server.client() as client:
        assert gone == contents(client, "whole")


def test_the_publisher_waits_for_a_killed_server_and_loses_or_repeats_nothing(server, monkeypatch):
    monkeypatch.setattr(module, "GONE_S", (0.05, 0.2))
    reports = []
    sender = publisher(server, settings=PublishSettings(later=2, rate=200.0))
    thread = threading.Thread(target=lambda: sender.run(frames_of(100), reports.append))
    thread.start()
    until(lambda: sender.published.frames >= 20)
    server.kill()
    until(lambda: "does not respond" in "".join(reports))
    server.start()
    thread.join(PATIENCE_S)
    assert sender.published.frames == 100
    publisher(server, settings=PublishSettings(later=2), names=StreamNames("whole")).run(frames_of(100))
    with server.client() as client:
        assert contents(client) == contents(client, "whole")


def test_the_address_is_asked_for_again_when_the_server_does_not_answer(server, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "GONE_S", (0.01, 0.02))
    addresses = iter([RedisAddress("unix", path=str(tmp_path / "gone")), server.address])
    reports = []
    Publisher(lambda: next(addresses), "clip", SPEC).run(frames_of(2), reports.append)
    assert len(reports) == 1
    with server.client() as client:
        assert len(entries(client)) == 3


def test_waits_grow_to_half_a_minute_and_no_further(monkeypatch):
    waits = []

    class EnoughError(Exception):
        pass

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 2000:
            raise EnoughError

    def gone():
        raise UnreachableError("gone")

    monkeypatch.setattr(module.time, "sleep", sleep)
    with pytest.raises(EnoughError):
        Publisher(gone, "clip", SPEC).run(frames_of())
    assert waits[0] <= 0.1
    assert 15 <= min(waits[20:]) < max(waits) <= 30


# ---- speed ------------------------------------------------------------------------------------------------------


class Clock:
    """A clock on which only sleeping takes time."""

    def __init__(self):
        self.now = 100.0
        self.slept = []
        self.time = time.time

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_the_rate_is_kept_and_messages_sent_before_take_no_time(server, clock):
    settings = PublishSettings(rate=40.0)
    publisher(server, settings=settings).run(frames_of(9))
    assert clock.slept == pytest.approx([1 / 40] * 9)
    clock.slept.clear()
    time.sleep(0.002)
    publisher(server, settings=settings).run(frames_of(11))
    assert clock.slept == pytest.approx([1 / 40] * 2)


def test_the_rate_is_kept_where_the_clock_is_fast(server, clock):
    clock.time = lambda: time.time() + 60
    one = publisher(server, settings=PublishSettings(rate=40.0))
    assert one.run(frames_of(4)).known == 0
    assert clock.slept == pytest.approx([1 / 40] * 4)


def test_a_live_frame_is_taken_when_due_and_lost_time_is_not_made_up(server, clock):
    taken = []

    def live():
        for number in range(6):
            taken.append(clock.now)
            clock.now += 0.33 if number == 2 else 0.01
            yield SourceFrame(number, np.zeros((8, 8), np.uint8))

    publisher(server, settings=PublishSettings(rate=10.0)).run(live())
    assert np.diff(taken) == pytest.approx([0.1, 0.1, 0.33, 0.1, 0.1])


def test_the_limit_ends_it_and_no_more_frames_are_taken(server):
    source = frames_of(10)
    assert publisher(server, settings=PublishSettings(limit=3, rate=1000.0)).run(source).frames == 3
    assert next(source).number == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"later": 0}, "later: expected a whole number >= 1, or none but got 0"),
        ({"limit": 0}, "limit: expected a whole number"),
        ({"rate": 0.0}, "rate: expected a number > 0"),
        ({"rate": float("nan")}, "rate: expected"),
        ({"later": 3, "labelled": False}, "later: expected none, because no labels are sent"),
    ],
)
def test_settings_out_of_range_are_refused(values, message):
    with pytest.raises(CiaoError, match=message):
        PublishSettings(**values)
