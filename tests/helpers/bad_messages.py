"""Bad messages, made by hand, each with the expected reason of its refusal."""

from __future__ import annotations

import functools
import io
import json
import struct
import zlib

from PIL import Image as Pillow

from ciao_stream.faces.task import TaskSpec
from ciao_stream.stream.log.images import IMAGE_BYTES, write_image
from ciao_stream.stream.log.messages import FUTURE_S, HEADER_BYTES, Fields
from tests.helpers.stream_messages import FER, changed, declaration, face, sealed
from tests.helpers.stream_messages import frame as any_frame
from tests.helpers.stream_messages import late_label as any_label

NOW = 1700000000.0


def saved(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@functools.cache
def one_bit(side):
    return saved(Pillow.new("1", (side, side)))


def png_that_declares(width, height):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


PNG = write_image(face(0, (48, 48)))
JPEG = write_image(face(0, (48, 48)), "jpeg")
OTHER = TaskSpec("fer", "votes", FER.labels)
TURNED = TaskSpec("fer", "categorical", FER.labels[::-1])


def bad_messages(producer: str = "camera", now: float = NOW) -> dict[str, tuple[Fields, str]]:
    """Return fields and reason by what is wrong; each is the first message of its producer, received at ``now``."""

    def frame(**header):
        return any_frame(**{"producer": producer, **header})

    def late_label(**header):
        return any_label(**{"producer": producer, **header})

    def declared(spec, **header):
        return changed(declaration(spec), producer=producer, **header)

    good = frame()
    header = json.loads(good[b"header"])

    def with_header(text):
        return sealed(text.encode() if isinstance(text, str) else text, PNG)

    def label_text(text):
        """A frame whose label has exactly this text."""
        return with_header(json.dumps({**header, "task": "va", "label": None}).replace("null", text))

    return {
        "image cut in transit": ({**good, b"image": good[b"image"][:-20]}, "truncated"),
        "header cut in transit": ({**good, b"header": good[b"header"][:-1]}, "truncated"),
        "nothing in the image": ({**good, b"image": b""}, "truncated"),
        "bytes added in transit": ({**good, b"image": good[b"image"] + b"x"}, "corrupt"),
        "a bit of the image": ({**good, b"image": bytes([good[b"image"][0] ^ 1]) + good[b"image"][1:]}, "corrupt"),
        "a bit of the label": ({**good, b"header": good[b"header"].replace(b"fear", b"gear")}, "corrupt"),
        "another digest": ({**good, b"sha256": b"0" * 64}, "corrupt"),
        "no digest": ({**good, b"sha256": b""}, "corrupt"),
        "jpeg cut short before it was sent": (frame(image=JPEG[:-300]), "truncated"),
        "png cut short before it was sent": (frame(image=PNG[:-300]), "truncated"),
        "image damaged before it was sent": (frame(image=PNG[:60] + b"\0" * 40 + PNG[100:]), "corrupt"),
        "image too large": (sealed(header, bytes(IMAGE_BYTES + 1)), "too_large"),
        "header too large": (sealed(b" " * HEADER_BYTES + good[b"header"], PNG), "too_large"),
        "text for an image": (frame(image=b"hello"), "not_an_image"),
        "empty image": (sealed(header, b""), "not_an_image"),
        "gif": (frame(image=saved(Pillow.fromarray(face()), "GIF")), "not_an_image"),
        "tiff": (frame(image=saved(Pillow.fromarray(face()), "TIFF")), "not_an_image"),
        "bomb of 67 megapixels": (frame(image=one_bit(8192)), "bomb"),
        "bomb beyond what Pillow warns of": (frame(image=png_that_declares(12000, 12000)), "bomb"),
        "bomb beyond what Pillow opens": (frame(image=png_that_declares(60000, 60000)), "bomb"),
        "image without width": (frame(image=png_that_declares(0, 10)), "not_an_image"),
        "no fields": ({}, "bad_header"),
        "no header": ({name: value for name, value in good.items() if name != b"header"}, "bad_header"),
        "an extra field": ({**good, b"x": b""}, "bad_header"),
        "n_bytes is not a number": ({**good, b"n_bytes": b"-1"}, "bad_header"),
        "n_bytes is endless": ({**good, b"n_bytes": b"9" * 5000}, "bad_header"),
        "not JSON": (with_header("{"), "bad_header"),
        "JSON, but not an object": (with_header("[]"), "bad_header"),
        "not UTF-8": (with_header(b"\xff\xfe"), "bad_header"),
        "nested deep": (with_header("[" * 8000), "bad_header"),
        "half a surrogate pair": (changed(good, person="\ud800"), "bad_header"),
        "another version": (changed(good, v=2), "bad_header"),
        "no version": (changed(good, v=...), "bad_header"),
        "another type": (changed(good, type="pickle"), "bad_header"),
        "an unknown key": (changed(good, extra=1), "bad_header"),
        "no frame id": (changed(good, frame_id=...), "bad_header"),
        "frame id with a space": (changed(good, frame_id="a b"), "bad_header"),
        "frame id of a kilobyte": (changed(good, frame_id="a" * 1024), "bad_header"),
        "seq below 0": (changed(good, seq=-1), "bad_header"),
        "seq as text": (changed(good, seq="1"), "bad_header"),
        "seq as a float": (changed(good, seq=1.0), "bad_header"),
        "seq beyond 64 bits": (changed(good, seq=2**63), "bad_header"),
        "seq of 5,000 digits": (with_header(json.dumps(header).replace('"seq": 0', '"seq": ' + "9" * 5000)),
            "bad_header"),
        "captured at NaN": (changed(good, captured_at=float("nan")), "bad_header"),
        "captured before 1970": (changed(good, captured_at=-1), "bad_header"),
        "captured in two hours": (frame(captured_at=now + 2 * FUTURE_S), "future"),
        "captured in milliseconds": (frame(captured_at=now * 1000), "future"),
        "label with an image": ({**sealed(json.loads(late_label()[b"header"]), PNG)}, "bad_header"),
        "frame without an image": (sealed(header), "bad_header"),
        "late label without a label": (changed(late_label(), label=None), "bad_header"),
        "arousal NaN": (label_text('{"arousal": NaN, "valence": 0}'), "bad_header"),
        "arousal infinite": (label_text('{"arousal": 1e999, "valence": 0}'), "bad_header"),
        "arousal as text": (label_text('{"arousal": "0.5", "valence": 0}'), "bad_header"),
        "arousal true": (label_text('{"arousal": true, "valence": 0}'), "bad_header"),
        "label is a number": (label_text("3"), "bad_header"),
        "arousal out of range": (label_text('{"arousal": 1.5, "valence": 0}'), "bad_label"),
        "a missing dimension": (label_text('{"arousal": 0.5}'), "bad_label"),
        "unknown task": (frame(task="ferr"), "unknown_task"),
        "unknown class": (frame(label="angry"), "bad_label"),
        "a class of another task": (frame(task="emoreact", label=["anger"]), "bad_label"),
        "no votes": (frame(task="ferplus", label={"anger": 0}), "bad_label"),
        "votes for a class": (frame(label={"anger": 1}), "wrong_kind"),
        "class for votes": (frame(task="ferplus", label="anger"), "wrong_kind"),
        "late label of the wrong kind": (late_label(label=["anger"]), "wrong_kind"),
        "declared as another kind": (declared(OTHER), "wrong_kind"),
        "declared in another order": (declared(TURNED), "bad_task"),
        "declared with a label twice": (declared(FER, labels=["a", "a"]), "bad_task"),
        "declared with one class": (declared(FER, task="new", labels=["a"]), "bad_task"),
        "declared as a folder": (declared(FER, task="../new"), "bad_task"),
        "declared with an unknown kind": (declared(FER, target="regression"), "bad_header"),
    }  # fmt: skip
