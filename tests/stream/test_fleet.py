"""Many streams: a fleet of learners on a real Ray, and predictors that share a stream, while some are killed."""

import contextlib
import json
import os
import signal
import threading
import time

import pytest

from ciao_stream.encoders import load_encoder
from ciao_stream.exceptions import CiaoError
from ciao_stream.stream import __main__ as stream
from ciao_stream.stream.fleet import Share
from ciao_stream.stream.learner.checkpoint import Checkpoints
from ciao_stream.stream.learner.counters import Counters
from ciao_stream.stream.learner.folder import LearnerFolder
from ciao_stream.stream.learner.status import read_status
from ciao_stream.stream.log.feed import FrameFeed
from ciao_stream.stream.log.images import write_image
from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.messages import encode_frame
from ciao_stream.stream.predict.predictor import Predictor
from ciao_stream.stream.predict.settings import PredictSettings
from ciao_stream.stream.predict.worlds import CheckpointWorlds, UpToDate
from tests.helpers import sequences, stream_events, tiny
from tests.helpers.redis_server import running
from tests.helpers.sent_messages import until
from tests.helpers.sequences import start
from tests.helpers.stream_children import CONTEXT, PRELOAD, answer, append_all, messages
from tests.helpers.stream_events import shared, snapshot

ROBOTS = ("kitchen", "door")
N = 80
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "CIAO_DATA_ROOT": None, "CUDA_VISIBLE_DEVICES": ""}

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("redis"), fsync="everysec") as server:
        yield server


def status_of(folder):
    with contextlib.suppress(CiaoError):
        return read_status(folder.status)
    return {"entries": 0, "state": "starting"}


def position(folder):
    return Checkpoints(folder.checkpoints).kept()[-1].position


def comes(fleet, condition):
    """Wait for a condition; fail if the fleet ends first."""
    until(lambda: condition() or fleet.poll() is not None)
    assert fleet.poll() is None, fleet.communicate()[1]


def learned(folder, encoder):
    """The learner in a folder, as a hash, and the counters of its checkpoint."""
    restored = Checkpoints(folder.checkpoints).load(encoder)
    counters = Counters.from_json(restored.notes)
    counts = (counters.entries, counters.frames, counters.tracker.lost, counters.tracker.repeated)
    return snapshot(restored.learner), counts, restored.learner.report()


def test_a_fleet_learns_what_single_learners_do_although_one_is_killed(server, tmp_path):
    worlds, sent = tmp_path / "worlds", {name: [*messages(N, seed)] for seed, name in enumerate(ROBOTS)}
    folders = {name: LearnerFolder(worlds / name) for name in (*ROBOTS, "hall", "attic")}
    for name in ROBOTS:
        append_all(server.address, StreamNames(name), sent[name][: N // 2])
    folders["hall"].checkpoints.mkdir(parents=True)
    (folders["hall"].checkpoints / "000000001_0-0.checkpoint").write_bytes(b"scribbled over")
    words = ["--streams", ",".join(folders), "--redis", server.url, "--worlds", str(worlds), "--cpus", "0.5"]
    with folders["attic"].claimed():
        fleet = start("ciao_stream.stream", "fleet", *words, **ENVIRONMENT)
        try:
            comes(fleet, lambda: all(status_of(folders[name])["entries"] for name in ROBOTS))
            killed = status_of(folders["kitchen"])["pid"]
            last = {name: append_all(server.address, StreamNames(name), sent[name][N // 2 :])[-1] for name in ROBOTS}
            os.kill(killed, signal.SIGKILL)
            comes(fleet, lambda: all(position(folders[name]) == last[name] for name in ROBOTS))
        finally:
            fleet.terminate()
        _, errors = fleet.communicate(timeout=sequences.PATIENCE_S)
    assert fleet.returncode == 2, errors
    lines = errors.splitlines()
    assert sum(line.startswith("kitchen: its process on ") for line in lines) == 1
    assert next(line for line in lines if line.startswith("hall: ")).endswith("is intact; move them elsewhere")
    assert any(line.startswith(f"attic: a learner works in {folders['attic'].path}") for line in lines)
    assert lines[-1] == "error: 2 of 4 learners failed: hall, attic; see above"
    assert "Traceback" not in errors
    assert read_status(folders["kitchen"].status)["pid"] != killed
    encoder = load_encoder("ciao-face")
    for name in ROBOTS:
        status = read_status(folders[name].status)
        assert (status["state"], status["entries"], status["lost"]) == ("stopped", N, {})
        assert (folders[name].owner(), folders[name].starts.exists()) == (None, False)
        single = LearnerFolder(tmp_path / "single" / name)
        words = f"--stream {name} --redis {server.url} --worlds {single.path} --until-idle 1 --device cpu".split()
        until(lambda: stream.main(["learn", *words]) == 0 and status_of(single)["entries"] == N)  # noqa: B023
        assert learned(folders[name], encoder) == learned(single, encoder)
        assert (folders[name].worlds / "fer" / "world.json").exists()


BAD = {
    "--streams a,a": "--streams a,a: expected names, each once",
    "--streams ,": "expected names, each once",
    "--streams a*": "expected letters, digits",
    "--streams a --ray 127.0.0.1:1": "give the address of a server that all",
    "--streams a --ray 127.0.0.1:1 --redis redis://localhost": "no Ray cluster answers at this address",
    "--streams a --cpus 0": "cpus: expected a number > 0",
    "--streams a --micro-batch 0": "argument --micro-batch: expected a whole number >= 1",
    "--streams a --preset nice": "unknown preset 'nice'",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_input_is_one_line_and_code_2_before_anything_starts(words, capsys, tmp_path):
    with contextlib.suppress(SystemExit):
        assert stream.main(["fleet", "--worlds", str(tmp_path / "worlds"), *words.split()]) == 2
    assert BAD[words] in capsys.readouterr().err
    assert not (tmp_path / "worlds").exists()


def test_a_learner_has_as_many_threads_as_cores_but_at_least_one():
    assert [Share(cpus).threads for cpus in (0.25, 1, 2.5)] == [1, 1, 2]


def test_a_group_predicts_each_frame_once_although_a_member_is_killed(server, tmp_path):
    learner, names = stream_events.learner(), StreamNames("shared")
    stream_events.apply(learner, [stream_events.Stream().declare(tiny.SPECS["categorical"])])
    Checkpoints(tmp_path).save(learner)
    CONTEXT.set_forkserver_preload(PRELOAD)
    face = write_image(tiny.pictures(1).read(0))
    about = {"task": "fer", "producer": "camera"}
    sent = [encode_frame(face, **about, frame_id=f"f{seq}", seq=seq) for seq in range(600)]
    members = [CONTEXT.Process(target=answer, args=(tmp_path, server.address, names, "robots", 0.5)) for _ in range(2)]
    with server.client() as client:
        for one in members:
            one.start()
        try:
            append_all(server.address, names, iter(sent[:100]))
            until(lambda: client.xlen(names.results) >= 100 and n_members(client) == 2)
            append_all(server.address, names, iter(sent[100:]))
            members[0].kill()
            until(lambda: client.xlen(names.results) >= len(sent))
            time.sleep(0.2)
        finally:
            for one in members:
                one.terminate()
                one.join()
        found = [json.loads(fields[b"result"])["frame_id"] for _, fields in client.xrange(names.results)]
        assert sorted(found) == sorted(f"f{seq}" for seq in range(600))
        assert client.xpending(names.stream, "robots")["pending"] == 0


def n_members(client):
    return len(client.xinfo_consumers("shared", "robots"))


class SlowFeed(FrameFeed):
    """A member that lives but takes longer than the others wait."""

    def read(self, count, block_ms):
        entries = super().read(count, block_ms)
        time.sleep(0.6)
        return entries


def test_a_slow_member_predicts_nothing_twice(server, tmp_path):
    learner, names = stream_events.learner(), StreamNames("slow")
    stream_events.apply(learner, [stream_events.Stream().declare(tiny.SPECS["categorical"])])
    Checkpoints(tmp_path).save(learner)
    face = write_image(tiny.pictures(1).read(0))
    frames = (encode_frame(face, task="fer", producer="camera", frame_id=f"f{n}", seq=n) for n in range(8))
    positions = append_all(server.address, names, frames)
    about = {"start": "0-0", "group": "robots", "claim_s": 0.1}
    slow, quick = (
        Predictor(
            shared(),
            UpToDate(CheckpointWorlds(tmp_path, shared()), 0.02),
            kind(lambda: server.address, names, **about),
            PredictSettings(batch=4, until_idle=1.5),
        )
        for kind in (SlowFeed, FrameFeed)
    )
    thread = threading.Thread(target=slow.run)
    thread.start()
    with server.client() as client:
        until(lambda: client.exists(names.stream) and client.xinfo_groups(names.stream))
        until(lambda: client.xpending(names.stream, "robots")["pending"] == 4)
        quick.run()
        thread.join()
        found = [json.loads(fields[b"result"])["position"] for _, fields in client.xrange(names.results)]
    assert sorted(found) == positions
    assert (slow.frames, quick.frames) == (0, 8)
