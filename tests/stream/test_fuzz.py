"""10,000 messages, most of them damaged or random, through a real learner and a real server."""

import contextlib
import functools
import itertools
import random
import signal
import time
from collections import Counter

import pytest
import torch

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.learner.counters import Counters
from ciao_stream.stream.learner.settings import FollowSettings, StreamSettings
from ciao_stream.stream.log.dead import dead_letters
from ciao_stream.stream.log.images import write_image
from ciao_stream.stream.log.keys import StreamNames
from ciao_stream.stream.log.log import History
from ciao_stream.stream.log.messages import decode
from ciao_stream.stream.log.refusals import BadMessage, Reason
from tests.helpers import stream_events
from tests.helpers.bad_messages import bad_messages
from tests.helpers.redis_server import running
from tests.helpers.sent_messages import PATIENCE_S
from tests.helpers.stream_children import Supervised, append_all, learn, newest
from tests.helpers.stream_events import snapshot
from tests.helpers.stream_messages import FER, TASKS, changed, declaration, face, frame, late_label, sealed

N = 10_000
ROUNDS = 5
"""How often each hand-made bad message is sent."""

NAMES = StreamNames("fuzz")
LABELS = {
    "fer": FER.labels,
    "ferplus": [{"anger": 2, "fear": 1}, {"neutral": 3}],
    "va": [{"arousal": -1, "valence": 0.5}, {"arousal": 0, "valence": 0}],
    "emoreact": [["fear"], [], ["curiosity", "happiness"]],
}
POISON = b'"person":"poison"'
pytestmark = [pytest.mark.slow, pytest.mark.fuzz]


def make_learner():
    return stream_events.learner(StreamSettings(micro_batch=16, replay_ratio=1.0))


def good(rng, number, producer, seq):
    """A good message: a frame with or without its label, or a label of an earlier one."""
    task = rng.choice(list(LABELS))
    label = rng.choice(LABELS[task])
    about = {"task": task, "producer": producer, "seq": seq}
    if rng.random() < 0.2:
        return late_label(frame_id=f"{producer}/{rng.randrange(number + 1)}", label=label, **about)
    image = write_image(face(number), rng.choice(["png", "jpeg"]))
    return frame(image=image, frame_id=f"{producer}/{number}", label=rng.choice([None, label, label]), **about)


def flipped(rng, fields):
    name = rng.choice(sorted(name for name in fields if fields[name]))
    raw = bytearray(fields[name])
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return {**fields, name: bytes(raw)}


def cut(rng, fields):
    name = rng.choice(sorted(name for name in fields if fields[name]))
    return {**fields, name: fields[name][: rng.randrange(len(fields[name]))]}


def strange(rng, _):
    names = rng.sample([b"header", b"image", b"n_bytes", b"sha256", b"x"], rng.randrange(1, 5))
    return {name: rng.randbytes(rng.randrange(200)) for name in names}


def strange_header(rng, fields):
    return sealed(rng.randbytes(rng.randrange(300)), fields.get(b"image"))


def damaged_image(rng, fields):
    """Damage the image before its hash is computed: the result may still be an image."""
    image = bytearray(fields.get(b"image") or write_image(face(1), "jpeg"))
    for _ in range(rng.randrange(1, 8)):
        image[rng.randrange(len(image))] = rng.randrange(256)
    return sealed(fields[b"header"], bytes(image[: rng.choice([len(image), rng.randrange(len(image))])]))


VALUES = (
    None, True, -1, 0, 3, 2**70, -0.0, 1e308, float("nan"), float("inf"), "", "fear", "../x", "\0", "ü" * 9, [],
    ["fear"], ["fear", "fear"], [[[]]], {}, {"anger": 1}, {"arousal": 0.1, "valence": float("nan")}, {"": 0},
    "emoreact", "a" * 999,
)  # fmt: skip


def another_value(rng, fields):
    """Put any value into any field of a header: the result may be valid."""
    key = rng.choice(["type", "task", "v", "frame_id", "label", "captured_at", "person", "labels", "target", "new"])
    return changed(fields, **{key: rng.choice(VALUES)})


BAD = (flipped, cut, strange, strange_header)
EITHER = (damaged_image, another_value)


def messages(seed, now):
    """All messages, each with the reason of its refusal, ``bad`` (any reason), ``good`` or ``either``."""
    rng = random.Random(seed)
    yield from ((declaration(spec, number), "good") for number, spec in enumerate(TASKS.values()))
    names = [name for name, (fields, _) in bad_messages().items() if fields]  # Redis refuses an empty entry
    by_hand = [bad_messages(f"hand{turn}-{n}", now)[name] for turn in range(ROUNDS) for n, name in enumerate(names)]
    poison = frame(frame_id="poison", producer="poison", person="poison")
    special = iter([*by_hand, (poison, "crash")])
    places = set(rng.sample(range(N), len(by_hand) + 1))
    seq = itertools.count(len(TASKS))
    for number in range(N):
        if number in places:
            yield next(special)
        elif rng.random() < 0.4:
            one = next(seq)
            yield good(rng, one, "camera", one), "good"
        else:
            way = rng.choice([*BAD, *EITHER])
            yield way(rng, good(rng, number, f"p{number}", 0)), "bad" if way in BAD else "either"


def expected(entries):
    """The learner after all good messages, and the refused ones with their reasons; the poison is never decoded."""
    online, refused = make_learner(), {}
    for entry in entries:
        try:
            if POISON in entry.fields.get(b"header", b""):
                raise BadMessage(Reason.CRASH, "it would crash this process")
            online.apply(decode(entry.position, entry.fields, online.tasks))
        except CiaoError as error:
            online.skip(entry.position)
            refused[entry.position] = (error.reason if isinstance(error, BadMessage) else Reason.BAD_TASK).value
    return online, refused


def test_of_10_000_messages_exactly_the_bad_ones_are_refused_and_the_learner_survives(tmp_path):
    began = time.monotonic()
    sent = [*messages(seed=0, now=time.time())]
    with running(tmp_path / "redis", fsync="everysec") as server:
        positions = append_all(server.address, NAMES, (fields for fields, _ in sent))
        settings = FollowSettings(until_idle=2, max_refused=1, history=2 * N)
        options = (tmp_path / "learner", server.address, NAMES, settings)
        body = functools.partial(learn, poison=POISON, make=make_learner)
        with Supervised(body, *options) as learner:
            assert learner.finished(PATIENCE_S * 20)
            crashes = learner.ends.count(-signal.SIGABRT)
            assert learner.ends == [-signal.SIGABRT] * crashes + [0]
            assert 3 <= crashes <= 8, "more than 4 on a slow machine, where checkpoints are written in between"
        dead = {letter.position: letter.reason for letter in dead_letters(server.address, NAMES)}
        with contextlib.closing(History(server.address, NAMES)) as history:
            reference, refused = expected(history.entries())
    restored = newest(tmp_path / "learner")
    counters = Counters.from_json(restored.notes)
    assert (counters.entries, counters.tracker.repeated) == (len(sent), 0)
    assert dead == refused
    for position, (_, why) in zip(positions, sent, strict=True):
        if why not in ("bad", "either"):
            assert dead.get(position, "good") == why
        assert why != "bad" or position in dead
    assert counters.refused == Counter(dead.values())
    weights = [p for world in restored.learner.worlds.values() for p in world.world.parameters()]
    assert weights
    assert all(bool(torch.isfinite(p).all()) for p in weights)
    assert snapshot(restored.learner) == snapshot(reference)
    survived = sum(why == "either" and position not in dead for position, (_, why) in zip(positions, sent, strict=True))
    print(f"{len(sent):,} messages: {len(dead):,} refused, {survived:,} damaged ones still in order, {crashes} crashes")
    print(f"{dict(counters.refused.most_common())}; {time.monotonic() - began:.0f} s")
