"""The message format: the fields of an entry, and how an entry becomes an event.

An entry has these fields and no others:

========  =====================================================================================
field     content
========  =====================================================================================
header    a JSON object, UTF-8, at most 16 KiB: :class:`TaskHeader`, :class:`FrameHeader` or
          :class:`LabelHeader`
image     only of frames: JPEG or PNG bytes, at most 256 KiB
n_bytes   number of bytes of header and image together, in decimal
sha256    hex digest of header and image together, to detect any changed bit
========  =====================================================================================
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.task import Kind, TaskSpec
from ciao_stream.stream.log.events import Event, FrameCame, Label, LabelCame, TaskDeclared
from ciao_stream.stream.log.images import check_size, read_image
from ciao_stream.stream.log.keys import appended_at
from ciao_stream.stream.log.labels import label_target
from ciao_stream.stream.log.refusals import BadMessage, Reason

HEADER_BYTES = 16 * 1024
"""Most bytes of a header."""

FUTURE_S = 3600.0
"""Seconds by which a producer's clock may be ahead of Redis's. Compared with the entry's position, not with the current
time, so that a replay gives the same result."""

Fields = dict[bytes, bytes]
"""Values of an entry by field."""

Id = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]
"""Printable ASCII without spaces."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]

LabelOnWire = Name | tuple[Name, ...] | dict[Name, float]


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    v: Literal[1]
    task: Name
    producer: Id
    seq: int = Field(ge=0, lt=2**63)


class TaskHeader(_Header):
    """Declares a task, or adds labels after those that it has.

    Args:
        target: Kind of target.
        labels: Names of the outputs, in order.
    """

    type: Literal["task"]
    target: Kind
    labels: tuple[Name, ...]


class FrameHeader(_Header):
    """Describes an image of one cropped face.

    Args:
        frame_id: The producer's name for it, unique in the stream.
        label: None where unknown.
        captured_at: Unix seconds; for display and to detect wrong clocks, never for the order.
        person: Who it shows.
        camera: Where it was taken.
        annotator: Who gave the label.
    """

    type: Literal["frame"]
    frame_id: Id
    label: LabelOnWire | None = None
    captured_at: float | None = Field(default=None, ge=0)
    person: Name | None = None
    camera: Name | None = None
    annotator: Name | None = None


class LabelHeader(_Header):
    """Gives an earlier frame its first label, or a correction.

    Args:
        frame_id: The frame.
        label: The label that replaces any earlier one.
        annotator: Who gave it.
    """

    type: Literal["label"]
    frame_id: Id
    label: LabelOnWire
    annotator: Name | None = None


Header = TaskHeader | FrameHeader | LabelHeader

_BRANCH = re.compile(r"(constrained-|tuple\[|dict\[)")
"""Pydantic's names for parts of a union, which mean nothing to the sender."""

_HEADER: TypeAdapter[Header] = TypeAdapter(Annotated[Header, Field(discriminator="type")])


class Origin(NamedTuple):
    """Who sent a message, and its number among the messages of that producer."""

    producer: str
    seq: int


def encode_task(spec: TaskSpec, *, producer: str, seq: int) -> Fields:
    """Return the message that declares a task.

    Args:
        spec: The task.
        producer: Who sends it.
        seq: Its number among the producer's messages: see
        :class:`~ciao_stream.stream.learner.counters.SequenceTracker`.

    Raises:
        BadMessage: ``bad_header`` or ``too_large``.
    """
    return _encode(type="task", task=spec.name, producer=producer, seq=seq, target=spec.kind, labels=list(spec.labels))


def encode_frame(
    image: bytes,
    *,
    task: str,
    frame_id: str,
    producer: str,
    seq: int,
    label: Label | None = None,
    captured_at: float | None = None,
    person: str | None = None,
    camera: str | None = None,
    annotator: str | None = None,
) -> Fields:
    """Return the message that carries a face. The image is not decoded.

    Args:
        image: JPEG or PNG bytes: see :func:`ciao_stream.stream.log.images.write_image`.
        task: Name of the task.
        frame_id: As in :class:`FrameHeader`, like all that follow.
        producer: Who sends it.
        seq: Its number among the producer's messages.
        label: By name; the reader checks whether it fits the task.
        captured_at: Unix seconds.
        person: Who it shows.
        camera: Where it was taken.
        annotator: Who gave the label.

    Raises:
        BadMessage: ``bad_header`` or ``too_large``.
    """
    given = {"captured_at": captured_at, "person": person, "camera": camera, "annotator": annotator}
    check_size(image)
    return _encode(
        image, type="frame", task=task, producer=producer, seq=seq, frame_id=frame_id, label=_plain(label), **given
    )


def encode_label(
    label: Label, *, task: str, frame_id: str, producer: str, seq: int, annotator: str | None = None
) -> Fields:
    """Return the message that gives an earlier frame its label, or another one.

    Args:
        label: By name.
        task: Name of the task.
        frame_id: The frame.
        producer: Who sends it.
        seq: Its number among the producer's messages.
        annotator: Who gave it.

    Raises:
        BadMessage: ``bad_header`` or ``too_large``.
    """
    return _encode(
        type="label", task=task, producer=producer, seq=seq, frame_id=frame_id, label=_plain(label), annotator=annotator
    )


def renumbered(fields: Mapping[bytes, bytes], *, producer: str, seq: int) -> Fields:
    """Return a message with another producer and number.

    Raises:
        BadMessage: As :func:`header_of`.
    """
    header_of(fields)
    header = {**json.loads(fields[b"header"]), "producer": producer, "seq": seq}
    return _encode(fields.get(b"image"), **header)


def decode(position: str, fields: Mapping[bytes, bytes], tasks: Mapping[str, TaskSpec]) -> Event:
    """Check an entry and return its event, which depends only on the arguments.

    Args:
        position: The entry's id.
        fields: Its fields, which are untrusted.
        tasks: The tasks declared before it, by name.

    Raises:
        BadMessage: The entry is refused, for the reason that the error carries.
    """
    header = header_of(fields)
    if isinstance(header, TaskHeader):
        return TaskDeclared(position, header.task, _declared(header, tasks))
    spec = tasks.get(header.task)
    if spec is None:
        raise BadMessage(Reason.UNKNOWN_TASK, str(UnknownNameError("task", header.task, tasks)))
    if header.label is not None:
        label_target(spec, header.label)
    if isinstance(header, LabelHeader):
        return LabelCame(position, header.task, header.frame_id, header.label)
    if header.captured_at is not None and (ahead := header.captured_at - appended_at(position)) > FUTURE_S:
        raise BadMessage(Reason.FUTURE, f"captured {ahead:,.0f} s after Redis received it: set the producer's clock")
    return FrameCame(position, header.task, header.frame_id, read_image(fields[b"image"]), header.label)


def header_of(fields: Mapping[bytes, bytes]) -> Header:
    """Check an entry without decoding its image, and return its header.

    Raises:
        BadMessage: ``bad_header``, ``too_large``, ``truncated`` or ``corrupt``.
    """
    missing = {b"header", b"n_bytes", b"sha256"} - fields.keys()
    unknown = fields.keys() - {b"header", b"image", b"n_bytes", b"sha256"}
    if missing or unknown:
        what = "missing field" if missing else "unknown field"
        raise BadMessage(Reason.BAD_HEADER, f"{what} {sorted(missing or unknown)[0]!r:.60}")
    raw, image = fields[b"header"], fields.get(b"image", b"")
    if len(raw) > HEADER_BYTES:
        raise BadMessage(Reason.TOO_LARGE, f"the header has {len(raw):,} bytes: at most {HEADER_BYTES:,} are allowed")
    check_size(image)
    length, sent = len(raw) + len(image), fields[b"n_bytes"]
    if not (sent.isdigit() and len(sent) <= 9):
        raise BadMessage(Reason.BAD_HEADER, f"n_bytes: expected a number but got {sent!r:.60}")
    if length != int(sent):
        reason = Reason.TRUNCATED if length < int(sent) else Reason.CORRUPT
        raise BadMessage(reason, f"received {length:,} bytes, but {int(sent):,} were sent")
    if _digest(raw, image) != fields[b"sha256"]:
        raise BadMessage(Reason.CORRUPT, "the sha256 does not match: the bytes were changed")
    header = _parse(raw)
    if isinstance(header, FrameHeader) != (b"image" in fields):
        raise BadMessage(Reason.BAD_HEADER, f"a {header.type} message {'without' if not image else 'with'} an image")
    return header


def origin_of(fields: Mapping[bytes, bytes]) -> Origin | None:
    """Return who sent an entry, as far as its header shows: a bad message arrived, and must not count as lost."""
    raw = fields.get(b"header", b"")
    if len(raw) > HEADER_BYTES:
        return None
    try:
        header = json.loads(raw)
        return Origin(**_Origin.model_validate({key: header[key] for key in Origin._fields}).model_dump())
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def identity_of(fields: Mapping[bytes, bytes]) -> tuple[str, str]:
    """Return the id under which a message is appended once, and the digest that it must have when it is sent again.

    A frame is identified by its ``frame_id``, and a restarted producer may send it again under another number. Other
    messages are identified by their number.

    Raises:
        BadMessage: As :func:`header_of`.
    """
    header = header_of(fields)
    if not isinstance(header, FrameHeader):
        return f"{header.type}:{header.producer}:{header.seq}", fields[b"sha256"].decode("ascii")
    content = json.dumps([header.task, header.model_dump(mode="json")["label"]], sort_keys=True)
    return f"frame:{header.frame_id}", _digest(content.encode(), fields[b"image"]).decode("ascii")


class _Origin(BaseModel):
    model_config = _Header.model_config

    producer: Id
    seq: int = Field(ge=0, lt=2**63)


def _declared(header: TaskHeader, tasks: Mapping[str, TaskSpec]) -> TaskSpec:
    """Return the task after a declaration; a declaration of only the first labels removes none."""
    try:
        spec = TaskSpec(header.task, header.target, header.labels)
    except CiaoError as error:
        raise BadMessage(Reason.BAD_TASK, str(error)) from error
    before = tasks.get(spec.name)
    if before is None:
        return spec
    if before.kind != spec.kind:
        raise BadMessage(Reason.WRONG_KIND, f"task {spec.name!r} was declared {before.kind}, not {spec.kind}")
    longer, shorter = (spec, before) if spec.n_out >= before.n_out else (before, spec)
    if longer.labels[: shorter.n_out] != shorter.labels:
        raise BadMessage(
            Reason.BAD_TASK,
            f"task {spec.name!r} was declared with {', '.join(before.labels)}: new labels must follow these, "
            f"but got {', '.join(spec.labels)}",
        )
    return longer


def _encode(image: bytes | None = None, **header: Any) -> Fields:
    try:
        given = {"v": 1, **{name: value for name, value in header.items() if value is not None}}
        raw = json.dumps(given, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise BadMessage(Reason.BAD_HEADER, f"the header cannot be written: {error}") from error
    if len(raw) > HEADER_BYTES:
        raise BadMessage(Reason.TOO_LARGE, f"the header has {len(raw):,} bytes: at most {HEADER_BYTES:,} are allowed")
    _parse(raw)
    content = image or b""
    fields = {b"header": raw, b"n_bytes": b"%d" % (len(raw) + len(content)), b"sha256": _digest(raw, content)}
    return fields if image is None else {**fields, b"image": image}


def _parse(raw: bytes) -> Header:
    try:
        return _HEADER.validate_json(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        deepest = max(errors, key=lambda one: len(one["loc"]))  # of a label's three forms, the best match
        where = ", ".join(str(part) for part in deepest["loc"] if not _BRANCH.match(str(part)))
        raise BadMessage(Reason.BAD_HEADER, f"header{where and ', ' + where}: {deepest['msg']}") from error


def _plain(label: Label | None) -> Any:
    """Return a label as a JSON value; anything else unchanged, for the format to refuse."""
    if isinstance(label, Mapping):
        return dict(label)
    return list(label) if isinstance(label, Iterable) and not isinstance(label, str) else label


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest().encode("ascii")
