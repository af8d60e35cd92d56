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
from tests.helpers import ROOT
from tests.helpers.redis_server import running
from tests.helpers.sent_messages import contents, entries, headers, until

SPEC = TaskSpec("mood", "categorical", ("calm", "glad"))


@pytest.fixture(scope="module")
def one_server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("redis"), fsync="everysec") as server:
        yield server


@pytest.fixture
def server(one_server):
    """A server that holds nothing."""
    one_server.start()
    with one_server.client() as client:
        client.flushall()
    return one_server


def pictures(n=10, labelled=True):
    for number in range(n):
        image = np.full((12, 12), number, np.uint8)
        yield SourceFrame(number, image, SPEC.labels[number % 2] if labelled else None)


def publisher(server, producer="film", settings=None, **options):
    return Publisher(lambda: server.address, producer, SPEC, settings, **options)


def test_the_task_is_declared_first_and_the_frames_follow_with_their_labels(server):
    published = publisher(server, place="left").run(pictures(4))
    with server.client() as client:
        frames = entries(client)[1:]
        declared, *told = headers(client)
    assert (declared.type, declared.target, declared.labels) == ("task", "categorical", ("calm", "glad"))
    assert [header.seq for header in told] == [1, 2, 3, 4]
    assert [header.frame_id for header in told] == [f"film/{number}" for number in range(4)]
    assert [header.label for header in told] == ["calm", "glad"] * 2
    assert {(header.producer, header.camera, header.captured_at) for header in told} == {("film", "left", None)}
    for number, (_, fields) in enumerate(frames):
        np.testing.assert_array_equal(read_image(fields[b"image"]), np.full((12, 12), number))
    assert (published.frames, published.labels, published.known) == (4, 4, 0)


def test_what_is_known_of_a_picture_goes_with_it(server):
    picture = SourceFrame(7, np.zeros((9, 9, 3), np.uint8), captured_at=1700000000.5, person="Ada")
    publisher(server, settings=PublishSettings(form="jpeg")).run([picture])
    with server.client() as client:
        (_, (_, fields)) = entries(client)
        header = headers(client)[1]
    assert (header.frame_id, header.captured_at, header.person) == ("film/7", 1700000000.5, "Ada")
    assert fields[b"image"].startswith(b"\xff\xd8")


def test_frames_without_labels(server):
    published = publisher(server, settings=PublishSettings(labelled=False)).run(pictures(3))
    assert (published.frames, published.labels) == (3, 0)
    with server.client() as client:
        assert [header.label for header in headers(client)[1:]] == [None] * 3


def test_labels_come_later_each_after_its_frame_and_the_last_ones_at_the_end(server):
    published = publisher(server, settings=PublishSettings(later=2)).run(pictures(4))
    assert (published.frames, published.labels) == (4, 4)
    with server.client() as client:
        told = [(header.type, getattr(header, "frame_id", None)) for header in headers(client)]
        labels = [header.label for header in headers(client) if isinstance(header, LabelHeader)]
        assert {header.label for header in headers(client) if isinstance(header, FrameHeader)} == {None}
    frame = [("frame", f"film/{number}") for number in range(4)]
    label = [("label", f"film/{number}") for number in range(4)]
    order = [frame[0], frame[1], frame[2], label[0], frame[3], label[1], label[2], label[3]]
    assert told == [("task", None), *order]
    assert labels == ["calm", "glad"] * 2


def test_pictures_that_are_left_out_are_counted_and_take_no_number(server):
    first, second, third = pictures(3)
    blank = Skipped(second.number, "no face found", "picture 1: haar finds no face")
    more = Skipped(5, "no face found", "picture 5: haar finds no face")
    published = publisher(server).run([first, blank, third, more])
    assert published.frames == 2
    assert published.skipped == {"no face found": 2}
    assert published.examples == {"no face found": blank.text}
    with server.client() as client:
        assert [(header.frame_id, header.seq) for header in headers(client)[1:]] == [("film/0", 1), ("film/2", 2)]


@pytest.mark.parametrize("form", ["png", "jpeg"])
@pytest.mark.parametrize("shape", [(900, 900, 3), (400, 2000), (289, 10, 3), (4000, 1)])
def test_a_large_picture_is_shrunk_until_it_fits_whatever_it_shows(server, form, shape):
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
def test_a_publisher_that_starts_again_goes_on_where_it_was(server, later):
    settings = PublishSettings(later=later)

    def broken():
        yield from pictures(6)
        raise RuntimeError("the cable")

    with pytest.raises(RuntimeError):
        publisher(server, settings=settings).run(broken())
    time.sleep(0.002)
    second = publisher(server, settings=settings).run(pictures(10))
    assert (second.frames, second.labels) == (10, 10)
    time.sleep(0.002)
    third = publisher(server, settings=settings).run(pictures(10))
    assert third.known == (11 if later is None else 21)
    publisher(server, settings=settings, names=StreamNames("whole")).run(pictures(10))
    with server.client() as client:
        assert second.known == 7 if later is None else second.known == 1 + 6 + 3
        assert contents(client) == contents(client, "whole")
        assert len(contents(client)) == third.known


def replay(server, *more):
    source = ["dataset:fer", "--limit", "60", "--shuffle", "1", "--labels", "later:5"]
    return ["publish", *source, "--redis", server.url, *more]


def test_kill_9_in_the_middle_and_a_restart_give_the_stream_of_an_uninterrupted_run(server, capsys, monkeypatch):
    monkeypatch.delenv("CIAO_DATA_ROOT", raising=False)
    with server.client() as client:
        for enough in (20, 75):
            argv = [sys.executable, "-m", "ciao_stream.stream", *replay(server)]
            process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            until(lambda at_least=enough: client.xlen("frames") >= at_least)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            assert process.returncode == -signal.SIGKILL
        before = client.xlen("frames")
        assert before < 121, "it was killed too late to show anything"
        assert stream.main(replay(server)) == 0
        assert f"published 60 frames and 60 labels ({before:,} messages were sent before)" in capsys.readouterr().out
        assert stream.main(replay(server, "--stream", "whole")) == 0
        assert "published 60 frames and 60 labels; task" in capsys.readouterr().out
        assert contents(client) == contents(client, "whole")
        kinds = [type(header) for header in headers(client)]
        assert [kinds.count(kind) for kind in (TaskHeader, FrameHeader, LabelHeader)] == [1, 60, 60]


def test_another_content_under_the_same_name_is_refused(server):
    publisher(server).run(pictures(2))
    with pytest.raises(BadMessage, match=r"film/1.*with another frame"):
        publisher(server).run([next(pictures()), SourceFrame(1, np.zeros((5, 5), np.uint8), "glad")])


def test_a_source_that_is_replayed_keeps_its_name_and_a_live_one_does_not():
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


def test_a_full_stream_is_waited_for_and_nothing_is_left_out(server):
    told, lengths, gone = [], [], []
    sender = publisher(server, max_backlog=5)
    thread = threading.Thread(target=lambda: sender.run(pictures(30), told.append))
    thread.start()
    with server.client() as client:
        until(lambda: client.xlen("frames") == 5 and told)
        time.sleep(0.2)
        assert sender.published.frames == 4, "it waits"
        while thread.is_alive() or client.xlen("frames"):
            lengths.append(client.xlen("frames"))
            for position, fields in client.xrange("frames", count=2):
                gone.append(fields)
                client.xdel("frames", position)
    thread.join()
    assert max(lengths) <= 5
    assert "5 entries wait" in told[0]
    publisher(server, names=StreamNames("whole")).run(pictures(30))
    with server.client() as client:
        assert gone == contents(client, "whole")


def test_a_server_that_is_killed_is_waited_for_and_nothing_is_lost_or_sent_twice(server, monkeypatch):
    monkeypatch.setattr(module, "GONE_S", (0.05, 0.2))
    told = []
    sender = publisher(server, settings=PublishSettings(later=2, rate=200.0))
    thread = threading.Thread(target=lambda: sender.run(pictures(100), told.append))
    thread.start()
    until(lambda: sender.published.frames >= 20)
    server.kill()
    until(lambda: "does not respond" in "".join(told))
    server.start()
    thread.join(30)
    assert sender.published.frames == 100
    publisher(server, settings=PublishSettings(later=2), names=StreamNames("whole")).run(pictures(100))
    with server.client() as client:
        assert contents(client) == contents(client, "whole")


def test_the_address_is_asked_for_again_when_the_server_does_not_answer(server, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "GONE_S", (0.01, 0.02))
    addresses = iter([RedisAddress("unix", path=str(tmp_path / "gone")), server.address])
    told = []
    Publisher(lambda: next(addresses), "film", SPEC).run(pictures(2), told.append)
    assert len(told) == 1
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
        Publisher(gone, "film", SPEC).run(pictures())
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


def test_the_rate_is_kept_and_what_is_there_already_takes_no_time(server, clock):
    settings = PublishSettings(rate=40.0)
    publisher(server, settings=settings).run(pictures(9))
    assert clock.slept == pytest.approx([1 / 40] * 9)
    clock.slept.clear()
    time.sleep(0.002)
    publisher(server, settings=settings).run(pictures(11))
    assert clock.slept == pytest.approx([1 / 40] * 2)


def test_the_rate_is_kept_by_a_machine_whose_clock_is_fast(server, clock):
    clock.time = lambda: time.time() + 60
    one = publisher(server, settings=PublishSettings(rate=40.0))
    assert one.run(pictures(4)).known == 0
    assert clock.slept == pytest.approx([1 / 40] * 4)


def test_a_live_picture_is_taken_when_it_is_due_and_time_lost_is_not_made_up_for(server, clock):
    taken = []

    def live():
        for number in range(6):
            taken.append(clock.now)
            clock.now += 0.33 if number == 2 else 0.01
            yield SourceFrame(number, np.zeros((8, 8), np.uint8))

    publisher(server, settings=PublishSettings(rate=10.0)).run(live())
    assert np.diff(taken) == pytest.approx([0.1, 0.1, 0.33, 0.1, 0.1])


def test_the_limit_ends_it_and_no_more_pictures_are_taken(server):
    source = pictures(10)
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
