import os
import pickle
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from ciao_stream.exceptions import DataError
from ciao_stream.faces.readers import video_frames
from ciao_stream.faces.readers.image_files import ImageFiles
from ciao_stream.faces.readers.video_frames import SUFFIXES, VideoFrames, moments, read_clip
from tests.helpers.emoreact_files import coloured, seen_in, write_clip


def a_clip(path, frames=16, clip=0, codec="mp4v", shape=(64, 80)):
    return write_clip(path, [coloured(i, clip, shape=shape) for i in range(frames)], codec)


def some_clips(folder, lengths=(12, 16, 20)):
    names = tuple(f"{index}.mp4" for index in range(len(lengths)))
    for index, (name, frames) in enumerate(zip(names, lengths, strict=True)):
        a_clip(folder / name, frames, index)
    return names


def numbers(frames):
    return [seen_in(frame)[0] for frame in frames]


def index_first(path):
    """Move an mp4's index to its front, as for streaming: then a part of the file can be played."""
    content, boxes, at = path.read_bytes(), {}, 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        boxes[content[at + 4 : at + 8]] = content[at : at + size]
        at += size
    moov = bytearray(boxes.pop(b"moov"))
    place = moov.index(b"stco") + 8
    for offset in range(place + 4, place + 4 + 4 * int.from_bytes(moov[place : place + 4], "big"), 4):
        moved = int.from_bytes(moov[offset : offset + 4], "big") + len(moov)
        moov[offset : offset + 4] = moved.to_bytes(4, "big")
    path.write_bytes(boxes.pop(b"ftyp") + moov + b"".join(boxes.values()))
    return path


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def claim(path, frames):
    """Write a number of frames into the header of an avi."""
    content = bytearray(path.read_bytes())
    for tag, offset in ((b"avih", 24), (b"strh", 40)):
        struct.pack_into("<I", content, content.index(tag) + offset, frames)
    path.write_bytes(content)
    return path


def header_count(path):
    return int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT))


def decodings(monkeypatch):
    """Return a list that grows by a file name with every pass over a clip."""
    passes, decode = [], video_frames._decode

    def spy(path, per_clip, expected):
        passes.append(path.name)
        return decode(path, per_clip, expected)

    monkeypatch.setattr(video_frames, "_decode", spy)
    return passes


# --- which frames ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 12, 16, 20, 301])
@pytest.mark.parametrize("per_clip", [1, 2, 3, 5, 10, 20])
def test_moments_are_the_middles_of_equal_parts(count, per_clip):
    wanted = [int((k + Fraction(1, 2)) / per_clip * count) for k in range(per_clip)]
    assert moments(per_clip, count) == wanted
    assert 0 <= min(wanted) <= max(wanted) < count


@pytest.mark.parametrize(
    ("per_clip", "frames", "expected"),
    [
        (1, 16, [8]),
        (2, 16, [4, 12]),
        (5, 12, [1, 3, 6, 8, 10]),
        (10, 20, list(range(1, 20, 2))),
        (20, 20, list(range(20))),
        (3, 2, [0, 1, 1]),
        (2, 1, [0, 0]),
    ],
)
def test_the_frames_of_a_clip(tmp_path, per_clip, frames, expected):
    assert numbers(read_clip(a_clip(tmp_path / "a.mp4", frames), per_clip)) == expected


def test_image_i_is_frame_i_modulo_per_clip(tmp_path):
    images = VideoFrames(tmp_path, some_clips(tmp_path), 5)
    assert len(images) == 15
    seen = [seen_in(images.read(i)) for i in range(15)]
    assert [clip for _, clip, _ in seen] == [0] * 5 + [1] * 5 + [2] * 5
    assert [number for number, _, _ in seen] == moments(5, 12) + moments(5, 16) + moments(5, 20)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mov", "mp4v"), ("a.mkv", "XVID")]
)
def test_formats_and_colours(tmp_path, name, codec):
    red = np.zeros((64, 96, 3), np.uint8)
    red[:, :, 0] = 220
    red[:20, :, 1] = 220
    (frame,) = read_clip(write_clip(tmp_path / name, [red] * 8, codec), 1)
    assert (frame.shape, frame.dtype) == ((64, 96, 3), np.uint8)
    assert abs(frame[50, 50].astype(int) - [220, 0, 0]).max() < 12
    assert abs(frame[5, 50].astype(int) - [220, 220, 0]).max() < 12
    assert (tmp_path / name).suffix in SUFFIXES


def test_odd_names(tmp_path):
    for name in ("it's, 100%d.mp4", "ü [1]?#&.mp4", "img_%03d.mp4", "http:x.mp4", "-i.mp4"):
        a_clip(tmp_path / "a.mp4", 12).rename(tmp_path / name)
        assert numbers(read_clip(tmp_path / name, 2)) == [3, 9]


def test_a_relative_folder(tmp_path, monkeypatch):
    (tmp_path / "data:1").mkdir()
    a_clip(tmp_path / "data:1" / "a.mp4", 12)
    monkeypatch.chdir(tmp_path)
    assert numbers(read_clip(Path("data:1/a.mp4"), 2)) == [3, 9]


def test_no_frames_per_clip(tmp_path):
    with pytest.raises(ValueError, match="expected at least 1 frame per clip but got 0"):
        VideoFrames(tmp_path, ("a.mp4",), 0)


# --- headers lie -----------------------------------------------------------------------------------------------------


def test_a_clip_that_ends_early_is_sampled_over_again(tmp_path, monkeypatch):
    path = cut(index_first(a_clip(tmp_path / "a.mp4", 20)), 0.8)
    passes = decodings(monkeypatch)
    frames = read_clip(path, 4)
    assert passes == ["a.mp4"] * 2
    assert header_count(path) == 20
    (count,) = {len(read_all(path))}
    assert 4 < count < 16
    assert numbers(frames) == [seen_in(read_all(path)[moment])[0] for moment in moments(4, count)]


def read_all(path):
    capture, frames = cv2.VideoCapture(str(path)), []
    while (pair := capture.read())[0]:
        frames.append(pair[1][:, :, ::-1])
    return frames


@pytest.mark.parametrize("claimed", [0, 5, 15, 17, 500, 2**31])
def test_a_header_that_lies(tmp_path, claimed):
    path = claim(a_clip(tmp_path / "a.avi", 16, codec="XVID"), claimed)
    assert header_count(path) != 16 or claimed == 0
    assert numbers(read_clip(path, 4)) == [2, 6, 10, 14]


def test_an_index_at_the_front_alone_changes_nothing(tmp_path, monkeypatch):
    path = index_first(a_clip(tmp_path / "a.mp4"))
    passes = decodings(monkeypatch)
    assert numbers(read_clip(path, 4)) == [2, 6, 10, 14]
    assert passes == ["a.mp4"]


# --- one clip in memory ----------------------------------------------------------------------------------------------


def test_in_order_each_clip_is_decoded_once(tmp_path, monkeypatch):
    images = VideoFrames(tmp_path, some_clips(tmp_path), 10)
    passes = decodings(monkeypatch)
    for index in range(len(images)):
        images.read(index)
        assert len(images._last[1]) == 10
    assert passes == ["0.mp4", "1.mp4", "2.mp4"]


def test_any_order_gives_the_same_frames(tmp_path):
    names = some_clips(tmp_path)
    in_order = VideoFrames(tmp_path, names, 5)
    expected = [in_order.read(i) for i in range(15)]
    for order in (np.random.default_rng(0).permutation(15), range(14, -1, -1), [7, 7, 0, 7]):
        images = VideoFrames(tmp_path, names, 5)
        assert all(np.array_equal(images.read(int(i)), expected[i]) for i in order)


def test_what_is_done_to_an_image_does_not_reach_the_next(tmp_path):
    images = VideoFrames(tmp_path, some_clips(tmp_path), 2)
    first = images.read(0)
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(images.read(0), kept)


def test_nothing_is_opened_before_a_frame_is_read(tmp_path):
    images = VideoFrames(tmp_path / "absent", ("a.mp4", "b.mp4"), 3)
    assert len(images) == 6
    with pytest.raises(DataError, match=r"absent/b\.mp4: cannot be read \(No such file or directory\)"):
        images.read(4)


def test_pickles_carry_no_frames(tmp_path):
    images = VideoFrames(tmp_path, some_clips(tmp_path), 5)
    before = pickle.dumps(images)
    frame = images.read(7)
    after = pickle.dumps(images)
    assert len(after) == len(before) < 500
    copy = pickle.loads(after)
    assert copy == images
    assert copy.fingerprint == images.fingerprint
    assert np.array_equal(copy.read(7), frame)


# --- fingerprint -----------------------------------------------------------------------------------------------------


def test_the_fingerprint_follows_content_names_order_and_number_of_frames(tmp_path):
    names = some_clips(tmp_path)
    same = VideoFrames(tmp_path, names, 5).fingerprint
    assert VideoFrames(tmp_path, names, 5).fingerprint == same
    others = [
        VideoFrames(tmp_path, names, 10).fingerprint, VideoFrames(tmp_path, names[::-1], 5).fingerprint,
        VideoFrames(tmp_path, names[:2], 5).fingerprint, ImageFiles(tmp_path, names).fingerprint,
    ]  # fmt: skip
    a_clip(tmp_path / names[1], 16, 5)
    others.append(VideoFrames(tmp_path, names, 5).fingerprint)
    assert len({same, *others}) == 6


def test_the_fingerprint_is_of_the_content_wherever_it_lies(tmp_path):
    names = some_clips(tmp_path)
    (tmp_path / "b").mkdir()
    for name in names:
        (tmp_path / "b" / name).write_bytes((tmp_path / name).read_bytes())
    assert VideoFrames(tmp_path, names, 5).fingerprint == VideoFrames(tmp_path / "b", names, 5).fingerprint


def test_the_fingerprint_changes_with_the_last_byte_and_with_a_name(tmp_path):
    (name,) = some_clips(tmp_path, [12])
    seen = {VideoFrames(tmp_path, (name,), 5).fingerprint}
    (tmp_path / name).rename(tmp_path / "b.mp4")
    seen.add(VideoFrames(tmp_path, ("b.mp4",), 5).fingerprint)
    content = (tmp_path / "b.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    seen.add(VideoFrames(tmp_path, ("b.mp4",), 5).fingerprint)
    assert len(seen) == 3


def test_the_fingerprint_decodes_nothing(tmp_path):
    (tmp_path / "a.mp4").write_text("no clip")
    assert len(VideoFrames(tmp_path, ("a.mp4",), 5).fingerprint) == 64
    with pytest.raises(DataError, match=r"b\.mp4: cannot be read"):
        _ = VideoFrames(tmp_path, ("b.mp4",), 5).fingerprint


# --- damage ----------------------------------------------------------------------------------------------------------


def scramble(path):
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    content[start : content.index(b"moov") - 4] = bytes(content.index(b"moov") - 4 - start)
    path.write_bytes(content)


DAMAGED = {
    "empty": (lambda p: p.write_bytes(b""), "an empty file; get the file again"),
    "html": (lambda p: p.write_text("<html>404 not found</html>"), "not a video that can be decoded (26 bytes)"),
    "cut before its index": (lambda p: cut(p, 0.5), "not a video that can be decoded ("),
    "cut to its header": (lambda p: cut(p, 0.02), "not a video that can be decoded ("),
    "cut before its first frame": (lambda p: cut(index_first(p), 0.45), "not a video that can be decoded ("),
    "no frame among its bytes": (scramble, "not a video that can be decoded ("),
    "text": (lambda p: p.write_text("0,1,0\n" * 100), "not a video that can be decoded (600 bytes)"),
    "zeros": (lambda p: p.write_bytes(bytes(5000)), "not a video that can be decoded (5,000 bytes)"),
    "not there": (lambda p: p.unlink(), "cannot be read (No such file or directory)"),
    "a folder": (lambda p: (p.unlink(), p.mkdir()), "cannot be read (Is a directory)"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_clip_names_its_file(tmp_path, case):
    damage, expected = DAMAGED[case]
    names = some_clips(tmp_path)
    damage(tmp_path / "1.mp4")
    images = VideoFrames(tmp_path, names, 5)
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            images.read(7)
        assert f"{tmp_path / '1.mp4'}: {expected}" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert seen_in(images.read(10))[1] == 2


def test_what_opencv_cannot_do_is_an_error_of_the_clip(tmp_path, monkeypatch):
    def refuse(*_):
        raise cv2.error("Insufficient memory\n")

    path = a_clip(tmp_path / "a.mp4")
    monkeypatch.setattr(video_frames, "_decode", refuse)
    with pytest.raises(DataError, match=r"a\.mp4: not a video that can be decoded \(\S+ bytes\); get the file again"):
        read_clip(path, 2)


def test_frames_that_come_and_go_are_an_error(tmp_path, monkeypatch):
    counts = iter([(16, 20), (3, 16)])

    def unsteady(*_):
        count, expected = next(counts)
        return {0: np.zeros((4, 4, 3), np.uint8)}, count, expected

    path = a_clip(tmp_path / "a.mp4")
    monkeypatch.setattr(video_frames, "_decode", unsteady)
    with pytest.raises(DataError, match="not a video that can be decoded"):
        read_clip(path, 5)


QUIET = """
import os, sys
from pathlib import Path
from ciao_stream.faces.readers.video_frames import read_clip
from ciao_stream.exceptions import DataError
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read_clip(path, 4)
    except DataError:
        print(path.name)
import cv2
log = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
print(log.getLogLevel() > 0, os.environ.get("OPENCV_FFMPEG_LOGLEVEL"))
"""


def run_quiet(folder, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
    return subprocess.run(
        [sys.executable, "-c", QUIET, str(folder)], capture_output=True, text=True, env={**environment, **variables}
    )


def test_damage_is_not_talked_about_on_stderr(tmp_path):
    for number, (damage, _) in enumerate(list(DAMAGED.values())[:8]):
        damage(a_clip(tmp_path / f"{number}.mp4"))
    cut(index_first(a_clip(tmp_path / "part.mp4", 20)), 0.8)
    done = run_quiet(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [f"{number}.mp4" for number in range(8)] + ["True", "None"]
    loud = run_quiet(tmp_path, OPENCV_FFMPEG_LOGLEVEL="48")
    assert "moov atom not found" in loud.stdout + loud.stderr
    assert loud.stdout.split()[-2:] == ["True", "48"]
