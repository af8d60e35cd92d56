"""Sources: frames one at a time, in order, with their labels and people."""

import contextlib
import itertools
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from benchmarks.synthetic import load
from benchmarks.synthetic.worlds import SyntheticFaces
from ciao_stream.exceptions import CiaoError
from ciao_stream.faces.detection import load_detector
from ciao_stream.stream import __main__ as stream
from ciao_stream.stream import sources
from ciao_stream.stream.log.labels import label_target
from ciao_stream.stream.publish.publisher import NO_FACE, cut_to_faces
from ciao_stream.stream.publish.tasks import read_task
from ciao_stream.stream.sources import DatasetOptions, Skipped, SourceFrame, _capture, open_source
from ciao_stream.stream.sources.dataset import Replay
from tests.helpers import http_server, tiny
from tests.helpers.emoreact_files import coloured, seen_in, write_clip
from tests.helpers.sent_messages import PATIENCE_S, until


def silent(line):
    pytest.fail(f"unexpected report: {line}")


def taken(source, n=None):
    with contextlib.closing(source.frames(silent)) as frames:
        return list(itertools.islice(frames, n))


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "my clip.mp4", [coloured(number) for number in range(12)])


# ---- what is replayed -------------------------------------------------------------------------------------------


def test_a_video_gives_its_frames_in_order(clip):
    source = open_source(str(clip))
    assert (source.title, source.framing, source.spec, source.count) == ("my-clip.mp4", "photo", None, None)
    frames = taken(source)
    assert [frame.number for frame in frames] == list(range(12))
    assert [seen_in(frame.image)[0] for frame in frames] == list(range(12))
    assert {(frame.label, frame.captured_at) for frame in frames} == {(None, None)}
    assert [frame.number for frame in taken(source, 3)] == [0, 1, 2], "it starts again from the beginning"


def test_the_fingerprint_of_a_video_follows_its_content(clip):
    before = open_source(f"video:{clip}").fingerprint
    assert open_source(str(clip)).fingerprint == before
    write_clip(clip, [coloured(number) for number in range(11)])
    assert open_source(str(clip)).fingerprint != before


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    for name, shade in (("b.png", 20), ("a/2.png", 10), ("a/10.png", 0), (".hidden.png", 99), ("notes.txt", 99)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(np.full((20, 30), shade, np.uint8)).save(path, "PNG")
    return folder


def test_a_folder_gives_its_images_in_the_order_of_their_paths(folder):
    source = open_source(str(folder))
    frames = taken(source)
    assert (source.title, source.count) == ("images", 3)
    assert [int(frame.image[0, 0]) for frame in frames] == [0, 10, 20]
    before = source.fingerprint
    Pillow.fromarray(np.full((20, 30), 21, np.uint8)).save(folder / "b.png")
    assert open_source(f"folder:{folder}").fingerprint != before


def test_a_damaged_image_is_skipped_and_named(folder):
    (folder / "a" / "2.png").write_bytes((folder / "a" / "2.png").read_bytes()[:40])
    frames = taken(open_source(str(folder)))
    assert [type(frame) for frame in frames] == [SourceFrame, Skipped, SourceFrame]
    assert frames[1].reason == "unreadable"
    assert "2.png" in frames[1].text
    assert frames[2].number == 2


@pytest.mark.parametrize("task", ["fer", "ferplus", "affectnet-va", "emoreact"])
def test_a_data_set_gives_its_samples_with_their_labels(task):
    data = load(task, validation=6).validation
    source = open_source(f"dataset:{task}", DatasetOptions(split="validation", synthetic_size=6))
    assert (source.spec, source.count, source.framing) == (data.spec, 6, "face")
    frames = taken(source)
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, data.image(index))
        np.testing.assert_array_equal(label_target(data.spec, frame.label), data.targets[index])


def test_an_order_is_drawn_by_its_seed():
    def order(shuffle):
        source = open_source("dataset:fer", DatasetOptions(split="test", shuffle=shuffle, synthetic_size=12))
        return source.order.tolist(), source.fingerprint

    assert order(None)[0] == list(range(12))
    assert order(3) == order(3)
    assert sorted(order(3)[0]) == list(range(12))
    orders = [order(shuffle) for shuffle in (None, 3, 4)]
    assert len({str(one[0]) for one in orders}) == len({one[1] for one in orders}) == 3


def test_a_shuffled_sample_keeps_its_label():
    data = load("fer", test=12).test
    source = open_source("dataset:fer", DatasetOptions(split="test", shuffle=3, synthetic_size=12))
    for frame, index in zip(taken(source), source.order, strict=True):
        np.testing.assert_array_equal(frame.image, data.image(int(index)))
        assert frame.label == data.spec.labels[data.targets[index]]


def test_a_data_set_is_read_lazily(monkeypatch):
    reads = []
    monkeypatch.setattr(SyntheticFaces, "read", lambda _, index: reads.append(index) or np.zeros((8, 8), np.uint8))
    taken(open_source("dataset:fer"), 3)
    assert reads == [0, 1, 2]


def test_people_and_damaged_images_of_a_data_set():
    images = tiny.pictures(3, broken=1)
    replay = Replay(tiny.faces(images=images, subjects=np.array(["KA", "KM", ""])), np.arange(3))
    first, second, third = taken(replay)
    assert (first.person, third.person) == ("KA", None)
    assert second == Skipped(1, "unreadable", "image 1 is unreadable")


# ---- what is live -----------------------------------------------------------------------------------------------


@pytest.fixture
def device(monkeypatch, clip):
    """A camera that shows the clip at 100 frames a second and fails at its end; other numbers do not exist."""
    real = cv2.VideoCapture
    opened = []

    class Device:
        def __init__(self, where, *more):
            self.capture = real(str(clip), cv2.CAP_FFMPEG) if where == 0 else real(where, *more)
            opened.append(self)

        def read(self):
            time.sleep(0.01)
            return self.capture.read()

        def __getattr__(self, name):
            return getattr(self.capture, name)

    monkeypatch.setattr(cv2, "VideoCapture", Device)
    monkeypatch.setattr(_capture, "AGAIN_S", (0.02, 0.05))
    return opened


class EndlessCamera:
    """A camera whose frames show how many were read before."""

    def __init__(self):
        self.reads = 0

    def isOpened(self):  # noqa: N802
        return True

    def read(self):
        time.sleep(0.01)
        self.reads += 1
        return True, np.full((8, 8, 3), (0, self.reads // 256, self.reads % 256), np.uint8)

    def release(self):
        pass


def test_a_camera_gives_its_newest_frame_and_none_twice(monkeypatch):
    opened = []
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: opened.append(EndlessCamera()) or opened[-1])
    source = open_source("0")
    assert (source.title, source.fingerprint, source.framing) == ("camera0", None, "photo")
    before = time.time()
    with contextlib.closing(source.frames(silent)) as frames:
        first = next(frames)
        enough = opened[0].reads + 4
        until(lambda: opened[0].reads >= enough)
        second, third = next(frames), next(frames)
    assert [frame.number for frame in (first, second, third)] == [0, 1, 2]
    shown = [256 * int(frame.image[0, 0, 1]) + int(frame.image[0, 0, 0]) for frame in (first, second, third)]
    assert shown[1] - shown[0] >= 2, "frames in between are dropped"
    assert shown[2] > shown[1]
    assert before <= first.captured_at < second.captured_at < third.captured_at <= time.time()
    assert len(opened) == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "newest-frame"]


def test_a_camera_that_fails_is_reopened(device):
    frames = taken(open_source("camera:0"), 14)
    assert [frame.number for frame in frames] == list(range(14))
    assert len(device) >= 2


def test_a_camera_that_stays_away_is_reported(device, monkeypatch):
    monkeypatch.setattr(_capture, "PATIENCE_S", 0.1)
    source = open_source("camera:0")
    reported = threading.Event()
    lines = []

    def tell(line):
        lines.append(line)
        reported.set()

    monkeypatch.setattr("ciao_stream.stream.sources.camera.open_capture", lambda _: None)
    with contextlib.closing(source.frames(tell)) as frames:
        thread = threading.Thread(target=lambda: list(itertools.islice(frames, 13)), daemon=True)
        thread.start()
        assert reported.wait(PATIENCE_S)
        monkeypatch.undo()
        monkeypatch.setattr(cv2, "VideoCapture", lambda *_: device[0].__class__(0))
        thread.join(PATIENCE_S)
    assert lines[0] == "camera 0: no frame for 0 s; trying again"


@contextlib.contextmanager
def motion_jpeg(per_connection):
    """The address of a network camera that hangs up after ``per_connection`` frames."""
    connections = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            connections.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            with contextlib.suppress(OSError):
                for number in range(per_connection):
                    _, data = cv2.imencode(".jpg", coloured(number)[:, :, ::-1])
                    head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    self.wfile.write(head.encode() + data.tobytes() + b"\r\n")
                    time.sleep(0.02)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://user:secret@127.0.0.1:{server.server_port}/live.mjpg?token=secret", connections
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_network_camera_is_reopened_when_the_connection_fails(monkeypatch):
    monkeypatch.setattr(_capture, "AGAIN_S", (0.02, 0.05))
    with motion_jpeg(per_connection=20) as (url, connections):
        source = open_source(url)
        assert (source.title, source.fingerprint, source.count) == ("127.0.0.1", None, None)
        assert "secret" not in f"{source!r} {source.title} {source.place}"
        frames = taken(source, 24)
    assert [frame.number for frame in frames] == list(range(24))
    assert frames[0].image.shape == (64, 80, 3)
    assert len(connections) >= 2


def test_a_video_on_the_network_is_read_from_start_to_end(clip):
    with http_server.serving(http_server.Site(clip.read_bytes())) as url:
        source = open_source(url)
        assert (source.count, source.fingerprint) == (12, None)
        assert [seen_in(frame.image)[0] for frame in taken(source)] == list(range(12))


# ---- what cannot be opened --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("camera:98", r"camera 98 cannot be opened: is it plugged in.*/dev/video98"),
        ("camera:left", "camera 'left': expected its number, such as camera:0"),
        ("camra:0", r"did you mean 'camera'\? expected a file, a folder or camera:NUMBER, dataset:TASK"),
        ("folder:", "there is no such folder"),
        ("video:nowhere.mp4", "nowhere.mp4: cannot be read"),
        ("dataset:", "expected the name of a task, such as dataset:fer"),
        ("dataset:rafdb", "has no synthetic world: give --data-root"),
        ("http://user:secret@127.0.0.1:1/x?token=secret", r"^source http://127.0.0.1:1/x: no frames received"),
        ("rstp://127.0.0.1/x", "unknown scheme 'rstp': did you mean 'rtsp'"),
        ("http://:80", "cannot read the address"),
        ("http://a:b:c", "cannot read the address"),
    ],
)
def test_a_source_that_cannot_be_opened_is_refused(text, message):
    with pytest.raises(CiaoError, match=message) as error:
        open_source(text)
    assert "secret" not in str(error.value)


def test_files_that_are_not_videos_and_folders_without_images_are_refused(tmp_path):
    (tmp_path / "text.mp4").write_text("hello")
    (tmp_path / "empty.mp4").touch()
    for name, message in (
        ("text.mp4", r"not a video that OpenCV can decode \(5 bytes\)"),
        ("empty.mp4", "an empty file"),
    ):
        with pytest.raises(CiaoError, match=message):
            open_source(str(tmp_path / name))
    with pytest.raises(CiaoError, match="no images found"):
        open_source(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "tset"}, "split: expected one of train, validation, test, or none but got 'tset'"),
        ({"shuffle": -1}, "shuffle: expected a whole number >= 0"),
        ({"synthetic_size": 0}, "synthetic_size: expected a whole number >= 1"),
    ],
)
def test_options_of_a_data_set_that_are_out_of_range_are_refused(options, message):
    with pytest.raises(CiaoError, match=message):
        DatasetOptions(**options)


# ---- a source of your own ---------------------------------------------------------------------------------------

COUNTER = """
import numpy as np
from ciao_stream.stream.sources import SourceFrame

FORM = "counter:FRAMES"


class Counter:
    title, fingerprint, spec, framing, place = "counter", None, None, "face", None

    def __init__(self, count):
        self.count = count

    def frames(self, tell):
        for number in range(self.count):
            yield SourceFrame(number, np.full((8, 8), number, np.uint8))


def open_source(text):
    return Counter(int(text))
"""


def test_a_source_is_one_file(tmp_path, monkeypatch, capsys):
    (tmp_path / "counter.py").write_text(COUNTER)
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    assert [int(frame.image[0, 0]) for frame in taken(open_source("counter:3"))] == [0, 1, 2]
    with pytest.raises(CiaoError, match=r"did you mean 'counter'.* camera:NUMBER, counter:FRAMES, dataset:TASK"):
        open_source("conter:3")
    with pytest.raises(SystemExit):
        stream.main(["publish", "--help"])
    assert "counter:FRAMES" in capsys.readouterr().out


def test_a_source_that_does_not_show_its_form_is_named(tmp_path, monkeypatch):
    (tmp_path / "formless.py").write_text("def open_source(text):\n    return None\n")
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    with pytest.raises(CiaoError, match=r'formless.py: expected a line FORM = "..."'):
        sources.forms()


# ---- faces and tasks --------------------------------------------------------------------------------------------


def test_photographs_are_cut_to_their_largest_face_and_those_without_one_are_skipped():
    face = load("emoreact", train=4, size=96).train.image(0)
    photo = np.full((220, 420, 3), 90, np.uint8)
    blank = photo.copy()
    photo[20:116, 10:106] = face
    small = cv2.resize(face, (60, 60), interpolation=cv2.INTER_AREA)
    photo[100:160, 300:360] = small
    skipped = Skipped(2, "unreadable", "x")
    frames = [SourceFrame(0, photo, "fear", 5.0, "Ada"), SourceFrame(1, blank), skipped]
    first, second, third = cut_to_faces(frames, load_detector())
    assert first.image.shape[0] < 110
    assert abs(first.image.astype(int).mean() - face.mean()) < 30
    assert (first.number, first.label, first.captured_at, first.person) == (0, "fear", 5.0, "Ada")
    assert (second.number, second.reason) == (1, NO_FACE)
    assert third is skipped


def test_tasks_of_data_sets_are_known_by_name_and_ones_own_are_written_out():
    for name in ("fer", "affectnet-va", "emoreact"):
        assert read_task(name) == load(name, train=1).train.spec
    assert read_task("rafdb").kind == "categorical"
    assert read_task("mood= calm, glad", "votes").labels == ("calm", "glad")
    for text, kind, message in (
        ("fer", "votes", "has a kind of target already"),
        ("mood=calm,calm", None, "given twice"),
        ("=calm,glad", None, "expected the name of a task"),
    ):
        with pytest.raises(CiaoError, match=message):
            read_task(text, kind)
