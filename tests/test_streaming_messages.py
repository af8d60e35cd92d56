"""The wire format: whatever comes is an event, or refused with its reason; never anything else."""

import io
import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from stream_messages import FER, MULTI, TASKS, VA, VOTES, changed, declaration, face, frame, late_label, sealed

from ciao_stream.streaming.events import Event, FrameCame, LabelCame, TaskDeclared
from ciao_stream.streaming.images import IMAGE_BYTES, read_image, write_image
from ciao_stream.streaming.messages import (
    FUTURE_S,
    HEADER_BYTES,
    decode,
    encode_frame,
    header_of,
    identity_of,
    origin_of,
)
from ciao_stream.streaming.refusals import TEXT_LENGTH, BadMessage, Reason
from ciao_stream.tasks import TaskSpec

POSITION = "1700000000000-0"
NOW = 1700000000.0


def refused(fields, tasks=TASKS):
    with pytest.raises(BadMessage) as refusal:
        decode(POSITION, fields, tasks)
    assert 0 < len(str(refusal.value)) <= TEXT_LENGTH
    assert str(refusal.value).isprintable()
    return refusal.value


@pytest.mark.parametrize("shape", [(16, 16), (7, 9, 3)])
def test_a_frame_comes_through(shape):
    image = face(3, shape)
    more = {"captured_at": NOW, "person": "Ada", "camera": "left", "annotator": "günther"}
    fields = frame(3, write_image(image), **more)
    event = decode(POSITION, fields, TASKS)
    assert isinstance(event, FrameCame)
    assert (event.position, event.task, event.frame_id, event.label) == (POSITION, "fer", "f3", "fear")
    np.testing.assert_array_equal(event.image, image)
    header = header_of(fields)
    assert {name: getattr(header, name) for name in more} == more
    assert origin_of(fields) == ("camera", 3)


@pytest.mark.parametrize(
    ("task", "label"),
    [
        ("fer", "anger"),
        ("fer", None),
        ("ferplus", {"anger": 3, "fear": 0.5}),
        ("va", {"arousal": -1, "valence": 1 / 3}),
        ("emoreact", ("fear", "happiness")),
        ("emoreact", ()),
    ],
)
def test_labels_of_all_kinds_come_through(task, label):
    assert decode(POSITION, frame(task=task, label=label), TASKS).label == label
    if label is not None:
        event = decode(POSITION, late_label(task=task, label=label, annotator="a"), TASKS)
        assert isinstance(event, LabelCame)
        assert (event.frame_id, event.label) == ("f0", label)


def test_a_task_is_declared_extended_and_not_shortened():
    event = decode(POSITION, declaration(FER), {})
    assert isinstance(event, TaskDeclared)
    assert (event.task, event.spec) == ("fer", FER)
    longer = TaskSpec("fer", "categorical", (*FER.labels, "contempt"))
    assert decode(POSITION, declaration(longer), {"fer": FER}).spec == longer
    assert decode(POSITION, declaration(FER), {"fer": longer}).spec == longer


def test_jpeg_comes_through_as_pillow_decodes_it():
    data = write_image(face(1, (32, 32, 3)), "jpeg")
    np.testing.assert_array_equal(read_image(data), np.array(Pillow.open(io.BytesIO(data))))


def saved(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_that_declares(width, height):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


PNG = write_image(face(0, (48, 48)))
JPEG = write_image(face(0, (48, 48)), "jpeg")
GOOD = frame()
HEADER = json.loads(GOOD[b"header"])


def with_header(text):
    return sealed(text.encode() if isinstance(text, str) else text, PNG)


def label_text(text):
    """A frame whose label is written just so."""
    return with_header(json.dumps({**HEADER, "task": "va", "label": None}).replace("null", text))


OTHER = TaskSpec("fer", "votes", FER.labels)
TURNED = TaskSpec("fer", "categorical", FER.labels[::-1])
TWICE = {"type": "task", "target": "categorical", "frame_id": ..., "label": ...}

BAD = {
    "image cut short on the way": ({**GOOD, b"image": GOOD[b"image"][:-20]}, "truncated"),
    "header cut short on the way": ({**GOOD, b"header": GOOD[b"header"][:-1]}, "truncated"),
    "nothing in the image": ({**GOOD, b"image": b""}, "truncated"),
    "bytes added on the way": ({**GOOD, b"image": GOOD[b"image"] + b"x"}, "corrupt"),
    "a bit of the image": ({**GOOD, b"image": bytes([GOOD[b"image"][0] ^ 1]) + GOOD[b"image"][1:]}, "corrupt"),
    "a bit of the label": ({**GOOD, b"header": GOOD[b"header"].replace(b"fear", b"gear")}, "corrupt"),
    "another sum": ({**GOOD, b"sha256": b"0" * 64}, "corrupt"),
    "no sum": ({**GOOD, b"sha256": b""}, "corrupt"),
    "jpeg cut short before it was sent": (frame(image=JPEG[:-300]), "truncated"),
    "png cut short before it was sent": (frame(image=PNG[:-300]), "truncated"),
    "image damaged before it was sent": (frame(image=PNG[:60] + b"\0" * 40 + PNG[100:]), "corrupt"),
    "image too large": (sealed(HEADER, bytes(IMAGE_BYTES + 1)), "too_large"),
    "header too large": (sealed(b" " * HEADER_BYTES + GOOD[b"header"], PNG), "too_large"),
    "text for an image": (frame(image=b"hello"), "not_an_image"),
    "empty image": (sealed(HEADER, b""), "not_an_image"),
    "gif": (frame(image=saved(Pillow.fromarray(face()), "GIF")), "not_an_image"),
    "tiff": (frame(image=saved(Pillow.fromarray(face()), "TIFF")), "not_an_image"),
    "bomb of 67 megapixels": (frame(image=saved(Pillow.new("1", (8192, 8192)))), "bomb"),
    "bomb beyond what Pillow warns of": (frame(image=png_that_declares(12000, 12000)), "bomb"),
    "bomb beyond what Pillow opens": (frame(image=png_that_declares(60000, 60000)), "bomb"),
    "image of no width": (frame(image=png_that_declares(0, 10)), "not_an_image"),
    "no fields": ({}, "bad_header"),
    "no header": ({name: value for name, value in GOOD.items() if name != b"header"}, "bad_header"),
    "a field more": ({**GOOD, b"x": b""}, "bad_header"),
    "n_bytes is no number": ({**GOOD, b"n_bytes": b"-1"}, "bad_header"),
    "n_bytes is endless": ({**GOOD, b"n_bytes": b"9" * 5000}, "bad_header"),
    "no JSON": (with_header("{"), "bad_header"),
    "JSON, no object": (with_header("[]"), "bad_header"),
    "no UTF-8": (with_header(b"\xff\xfe"), "bad_header"),
    "nested deep": (with_header("[" * 8000), "bad_header"),
    "half a character": (changed(GOOD, person="\ud800"), "bad_header"),
    "another version": (changed(GOOD, v=2), "bad_header"),
    "no version": (changed(GOOD, v=...), "bad_header"),
    "another type": (changed(GOOD, type="pickle"), "bad_header"),
    "an unknown key": (changed(GOOD, extra=1), "bad_header"),
    "no frame id": (changed(GOOD, frame_id=...), "bad_header"),
    "frame id with a space": (changed(GOOD, frame_id="a b"), "bad_header"),
    "frame id of a kilobyte": (changed(GOOD, frame_id="a" * 1024), "bad_header"),
    "seq below 0": (changed(GOOD, seq=-1), "bad_header"),
    "seq as text": (changed(GOOD, seq="1"), "bad_header"),
    "seq as a float": (changed(GOOD, seq=1.0), "bad_header"),
    "seq beyond 64 bits": (changed(GOOD, seq=2**63), "bad_header"),
    "seq of 5,000 digits": (with_header(json.dumps(HEADER).replace('"seq": 0', '"seq": ' + "9" * 5000)), "bad_header"),
    "captured at NaN": (changed(GOOD, captured_at=float("nan")), "bad_header"),
    "captured before 1970": (changed(GOOD, captured_at=-1), "bad_header"),
    "captured in two hours": (frame(captured_at=NOW + 2 * FUTURE_S), "future"),
    "captured in milliseconds": (frame(captured_at=NOW * 1000), "future"),
    "label with an image": ({**sealed(json.loads(late_label()[b"header"]), PNG)}, "bad_header"),
    "frame without an image": (sealed(HEADER), "bad_header"),
    "late label that is none": (changed(late_label(), label=None), "bad_header"),
    "arousal NaN": (label_text('{"arousal": NaN, "valence": 0}'), "bad_header"),
    "arousal infinite": (label_text('{"arousal": 1e999, "valence": 0}'), "bad_header"),
    "arousal as text": (label_text('{"arousal": "0.5", "valence": 0}'), "bad_header"),
    "arousal true": (label_text('{"arousal": true, "valence": 0}'), "bad_header"),
    "label is a number": (label_text("3"), "bad_header"),
    "arousal out of range": (label_text('{"arousal": 1.5, "valence": 0}'), "bad_label"),
    "a dimension too few": (label_text('{"arousal": 0.5}'), "bad_label"),
    "unknown task": (frame(task="ferr"), "unknown_task"),
    "unknown class": (frame(label="angry"), "bad_label"),
    "a class of another task": (frame(task="emoreact", label=["anger"]), "bad_label"),
    "no votes": (frame(task="ferplus", label={"anger": 0}), "bad_label"),
    "votes for a class": (frame(label={"anger": 1}), "wrong_kind"),
    "class for votes": (frame(task="ferplus", label="anger"), "wrong_kind"),
    "late label of the wrong kind": (late_label(label=["anger"]), "wrong_kind"),
    "declared as another kind": (declaration(OTHER), "wrong_kind"),
    "declared in another order": (declaration(TURNED), "bad_task"),
    "declared with a label twice": (changed(declaration(FER), labels=["a", "a"]), "bad_task"),
    "declared with one class": (changed(declaration(FER), task="new", labels=["a"]), "bad_task"),
    "declared as a folder": (changed(declaration(FER), task="../new"), "bad_task"),
    "declared with no kind that is": (changed(declaration(FER), target="regression"), "bad_header"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_message_is_refused_for_its_reason(name):
    fields, reason = BAD[name]
    assert refused(fields).reason == reason


def test_every_reason_that_a_message_alone_can_have_is_in_the_table():
    elsewhere = {Reason.DUPLICATE_ID, Reason.CRASH}
    assert {reason for _, reason in BAD.values()} == {reason.value for reason in set(Reason) - elsewhere}


def test_a_refusal_says_what_to_mend():
    assert str(refused(frame(task="ferr"))) == (
        "unknown task 'ferr': did you mean 'fer'? (known: fer, ferplus, va, emoreact)"
    )
    assert "arousal" in str(refused(label_text('{"arousal": NaN, "valence": 0}')))


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: pytest.fail("unpacked"))
    with pytest.raises(BadMessage, match=r"8,192 x 8,192 pixels: at most 4,194,304"):
        read_image(saved(Pillow.new("1", (8192, 8192))))


def test_truncated_images_are_refused_where_another_library_told_pillow_to_take_them(monkeypatch):
    """What was cut on the way is caught by the sums, whatever the decoder is told."""
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    assert refused(BAD["image cut short on the way"][0]).reason == "truncated"


@pytest.mark.parametrize(
    ("image", "shape"),
    [
        (Pillow.new("RGBA", (4, 5), "red"), (5, 4, 3)),
        (Pillow.new("P", (4, 5)), (5, 4, 3)),
        (Pillow.new("LA", (4, 5)), (5, 4)),
        (Pillow.new("1", (4, 5)), (5, 4)),
        (Pillow.fromarray(np.full((5, 4), 0x80FF, dtype=np.uint16)), (5, 4)),
    ],
    ids=["RGBA", "P", "LA", "1", "I;16"],
)
def test_images_of_other_modes_become_gray_or_rgb(image, shape):
    got = read_image(saved(image))
    assert (got.dtype, got.shape) == (np.uint8, shape)
    if image.mode.startswith("I"):
        assert (got == 0x80).all()


def test_a_sideways_jpeg_stands_upright():
    exif = Pillow.Exif()
    exif[0x0112] = 6
    assert read_image(saved(Pillow.new("L", (4, 8)), "JPEG", exif=exif)).shape == (4, 8)


def test_what_does_not_fit_the_wire_is_refused_where_it_is_written():
    with pytest.raises(BadMessage, match="image has 262,145 bytes"):
        frame(image=bytes(IMAGE_BYTES + 1))
    with pytest.raises(BadMessage, match="262,144"):
        write_image(face(0, (600, 600)))
    with pytest.raises(BadMessage, match="header has"):
        frame(label=["x" * 100] * 200)
    with pytest.raises(BadMessage, match="cannot be written"):
        frame(label={"arousal": float("nan")}, task="va")
    with pytest.raises(BadMessage, match=r"header.*producer"):
        frame(producer="")
    with pytest.raises(BadMessage, match=r"header.*seq"):
        frame(seq=-1)


def test_the_future_is_judged_by_the_position_and_not_by_todays_clock():
    fields = frame(captured_at=NOW + FUTURE_S - 1)
    assert isinstance(decode(POSITION, fields, TASKS), FrameCame)
    with pytest.raises(BadMessage):
        decode(f"{int(NOW - 10) * 1000}-0", fields, TASKS)


def test_a_frame_sent_again_has_the_same_identity_and_one_of_another_content_has_not():
    first = identity_of(frame(1, captured_at=NOW, producer="camera", seq=1))
    assert first == identity_of(frame(1, captured_at=NOW + 1, producer="camera2", seq=9))
    for other in (frame(1, label="anger"), frame(1, image=PNG), frame(1, task="emoreact", label=["fear"])):
        assert identity_of(other)[0] == first[0]
        assert identity_of(other)[1] != first[1]
    assert identity_of(late_label(1))[0] != identity_of(late_label(2))[0]
    votes = [frame(task="ferplus", label=label) for label in ({"anger": 1, "fear": 2}, {"fear": 2, "anger": 1})]
    assert identity_of(votes[0]) == identity_of(votes[1])


def test_a_bad_message_still_tells_who_sent_it():
    assert origin_of(BAD["image cut short on the way"][0]) == ("camera", 0)
    assert origin_of(BAD["unknown class"][0]) == ("camera", 0)
    assert origin_of(BAD["an unknown key"][0]) == ("camera", 0)


@pytest.mark.parametrize("name", BAD)
def test_the_origin_of_a_bad_message_is_told_or_not_but_never_raises(name):
    assert origin_of(BAD[name][0]) in (None, ("camera", 0), ("page", 0))


# ---- whatever comes ---------------------------------------------------------------------------------------------

SOUND = [GOOD, frame(image=JPEG), late_label(), declaration(VA), frame(task="ferplus", label={"fear": 2}), *[
    frame(task=spec.name, label=label) for spec, label in ((VA, {"arousal": 0, "valence": 1}), (MULTI, ["fear"]))
]]  # fmt: skip
SPECS = {**TASKS, VOTES.name: VOTES}
FUZZ = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def judge(fields):
    """Return the event, or the refusal; anything else fails the test."""
    origin_of(fields)
    try:
        event = decode(POSITION, fields, SPECS)
    except BadMessage as refusal:
        return refusal
    assert isinstance(event, Event)
    if isinstance(event, FrameCame):
        assert event.image.dtype == np.uint8
        assert event.image.ndim in (2, 3)
    return event


@FUZZ
@given(st.data(), st.sampled_from(SOUND))
def test_no_flipped_bit_goes_unseen(data, fields):
    name = data.draw(st.sampled_from(sorted(fields)))
    value = bytearray(fields[name])
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert isinstance(judge({**fields, name: bytes(value)}), BadMessage)


@FUZZ
@given(st.data(), st.sampled_from(SOUND))
def test_no_cut_goes_unseen(data, fields):
    name = data.draw(st.sampled_from(sorted(fields)))
    keep = data.draw(st.integers(0, len(fields[name]) - 1))
    assert isinstance(judge({**fields, name: fields[name][:keep]}), BadMessage)


@FUZZ
@given(st.data(), st.sampled_from([PNG, JPEG]))
def test_any_damage_to_an_image_that_was_sealed_afterwards_is_an_image_or_refused(data, image):
    value = bytearray(image)
    for _ in range(data.draw(st.integers(1, 8))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    judge(sealed(HEADER, bytes(value[: data.draw(st.integers(0, len(value)))])))


@FUZZ
@given(st.dictionaries(st.sampled_from([*GOOD, b"x"]), st.binary(max_size=200)))
def test_random_fields_are_refused(fields):
    assert isinstance(judge(fields), BadMessage)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(FER.labels),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@FUZZ
@given(st.sampled_from(SOUND), st.sampled_from([*HEADER, "labels", "target", "captured_at", "new"]), ANYTHING)
def test_any_value_in_a_header_is_an_event_or_refused(fields, key, value):
    judge(changed(fields, **{key: value}))


@FUZZ
@given(st.binary(max_size=100) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_header_is_refused(raw):
    assert isinstance(judge(sealed(raw, PNG)), BadMessage)


def test_encode_frame_takes_bytes_alone():
    fields = encode_frame(PNG, task="fer", frame_id="x", producer="p", seq=0)
    assert all(isinstance(part, bytes) for pair in fields.items() for part in pair)
