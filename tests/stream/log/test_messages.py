"""The message format: any input gives an event or a refusal with its reason."""

import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.log.events import Event, FrameCame, LabelCame, TaskDeclared
from ciao_stream.stream.log.images import IMAGE_BYTES, read_image, write_image
from ciao_stream.stream.log.messages import FUTURE_S, decode, encode_frame, header_of, identity_of, origin_of
from ciao_stream.stream.log.refusals import TEXT_LENGTH, BadMessage, Reason
from tests.helpers.bad_messages import JPEG, NOW, PNG, bad_messages, saved
from tests.helpers.stream_messages import (
    FER,
    MULTI,
    TASKS,
    VA,
    VOTES,
    changed,
    declaration,
    face,
    frame,
    late_label,
    sealed,
)

POSITION = "1700000000000-0"
BAD = bad_messages()
GOOD = frame()
HEADER = json.loads(GOOD[b"header"])


def refused(fields, tasks=TASKS):
    with pytest.raises(BadMessage) as refusal:
        decode(POSITION, fields, tasks)
    assert 0 < len(str(refusal.value)) <= TEXT_LENGTH
    assert str(refusal.value).isprintable()
    return refusal.value


@pytest.mark.parametrize("shape", [(16, 16), (7, 9, 3)])
def test_a_frame_survives_the_round_trip(shape):
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
def test_labels_of_all_kinds_survive_the_round_trip(task, label):
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


def test_jpeg_is_decoded_as_by_pillow():
    data = write_image(face(1, (32, 32, 3)), "jpeg")
    np.testing.assert_array_equal(read_image(data), np.array(Pillow.open(io.BytesIO(data))))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_message_is_refused_for_its_reason(name):
    fields, reason = BAD[name]
    assert refused(fields).reason == reason


def test_every_reason_that_a_message_alone_can_have_is_in_the_table():
    elsewhere = {Reason.DUPLICATE_ID, Reason.CRASH}
    assert {reason for _, reason in BAD.values()} == {reason.value for reason in set(Reason) - elsewhere}


def test_a_refusal_says_what_to_fix():
    assert str(refused(frame(task="ferr"))) == (
        "unknown task 'ferr': did you mean 'fer'? (known: fer, ferplus, va, emoreact)"
    )
    assert "arousal" in str(refused(BAD["arousal NaN"][0]))


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: pytest.fail("unpacked"))
    with pytest.raises(BadMessage, match=r"8,192 x 8,192 pixels: at most 4,194,304"):
        read_image(saved(Pillow.new("1", (8192, 8192))))


def test_truncated_images_are_refused_although_another_library_made_pillow_accept_them(monkeypatch):
    """The digest shows what was cut in transit, however the decoder is configured."""
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    assert refused(BAD["image cut in transit"][0]).reason == "truncated"


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


def test_a_rotated_jpeg_is_turned_upright():
    exif = Pillow.Exif()
    exif[0x0112] = 6
    assert read_image(saved(Pillow.new("L", (4, 8)), "JPEG", exif=exif)).shape == (4, 8)


def test_values_that_do_not_fit_the_format_are_refused_by_the_encoder():
    with pytest.raises(BadMessage, match="image has 262,145 bytes"):
        frame(image=bytes(IMAGE_BYTES + 1))
    with pytest.raises(BadMessage, match="262,144"):
        write_image(face(0, (600, 600)))
    with pytest.raises(BadMessage, match="header has"):
        frame(label=["x" * 100] * 200)
    with pytest.raises(BadMessage, match="cannot be written"):
        frame(label={"arousal": float("nan")}, task="va")
    for index in (1, np.int64(1)):
        with pytest.raises(BadMessage, match="header"):
            frame(label=index)
    with pytest.raises(BadMessage, match=r"header.*producer"):
        frame(producer="")
    with pytest.raises(BadMessage, match=r"header.*seq"):
        frame(seq=-1)


def test_the_future_is_judged_by_the_position_and_not_by_the_current_time():
    fields = frame(captured_at=NOW + FUTURE_S - 1)
    assert isinstance(decode(POSITION, fields, TASKS), FrameCame)
    with pytest.raises(BadMessage):
        decode(f"{int(NOW - 10) * 1000}-0", fields, TASKS)


def test_a_frame_sent_again_has_the_same_identity_and_other_content_has_another():
    first = identity_of(frame(1, captured_at=NOW, producer="camera", seq=1))
    assert first == identity_of(frame(1, captured_at=NOW + 1, producer="camera2", seq=9))
    for other in (frame(1, label="anger"), frame(1, image=PNG), frame(1, task="emoreact", label=["fear"])):
        assert identity_of(other)[0] == first[0]
        assert identity_of(other)[1] != first[1]
    assert identity_of(late_label(1))[0] != identity_of(late_label(2))[0]
    votes = [frame(task="ferplus", label=label) for label in ({"anger": 1, "fear": 2}, {"fear": 2, "anger": 1})]
    assert identity_of(votes[0]) == identity_of(votes[1])


def test_a_bad_message_still_shows_its_sender():
    assert origin_of(BAD["image cut in transit"][0]) == ("camera", 0)
    assert origin_of(BAD["unknown class"][0]) == ("camera", 0)
    assert origin_of(BAD["an unknown key"][0]) == ("camera", 0)


@pytest.mark.parametrize("name", BAD)
def test_reading_the_origin_of_a_bad_message_never_raises(name):
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
def test_every_flipped_bit_is_detected(data, fields):
    name = data.draw(st.sampled_from(sorted(fields)))
    value = bytearray(fields[name])
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert isinstance(judge({**fields, name: bytes(value)}), BadMessage)


@FUZZ
@given(st.data(), st.sampled_from(SOUND))
def test_every_cut_is_detected(data, fields):
    name = data.draw(st.sampled_from(sorted(fields)))
    keep = data.draw(st.integers(0, len(fields[name]) - 1))
    assert isinstance(judge({**fields, name: fields[name][:keep]}), BadMessage)


@FUZZ
@given(st.data(), st.sampled_from([PNG, JPEG]))
def test_an_image_damaged_before_it_was_sealed_is_decoded_or_refused(data, image):
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


def test_encode_frame_accepts_only_bytes():
    fields = encode_frame(PNG, task="fer", frame_id="x", producer="p", seq=0)
    assert all(isinstance(part, bytes) for pair in fields.items() for part in pair)
