"""``label``: give a frame of the stream its label, or correct its label."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from ciao_stream.exceptions import CiaoError
from ciao_stream.stream.commands._options import server_of

if TYPE_CHECKING:
    from ciao_stream.stream.log.connection import RedisAddress
    from ciao_stream.stream.log.events import Label
    from ciao_stream.stream.log.keys import StreamNames

SUMMARY = "give a frame its label, or correct it"

NEWEST = "newest"
"""Name for the newest frame."""

LOOKED_AT = 1000
"""Newest entries of the stream that are searched for the newest frame of a task."""


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options."""
    p.add_argument("frame", metavar="FRAME", help=f"Id of the frame, or {NEWEST}")
    p.add_argument(
        "label",
        metavar="LABEL",
        help="A class; or as JSON: votes or values by name ('{\"valence\": 0.5}'), or a list of the labels that are "
        "present ('[\"glad\"]')",
    )
    p.add_argument("--task", required=True, metavar="T", help="Task of the frame")
    p.add_argument("--annotator", metavar="WHO", help="Who gives the label")


def run(options: argparse.Namespace) -> None:
    """Send the label.

    Raises:
        CiaoError: The label cannot be read, there is no frame, or the server does not accept the message.
    """
    import secrets

    from ciao_stream.stream.log.append import Appender
    from ciao_stream.stream.log.keys import StreamNames
    from ciao_stream.stream.log.messages import encode_label

    label, names = read_label(options.label), StreamNames(options.stream)
    with server_of(options) as address:
        frame = newest_frame(address(), names, options.task) if options.frame == NEWEST else options.frame
        producer = f"label-{secrets.token_hex(6)}"
        appender = Appender(address(), names)
        try:
            appender.append(
                encode_label(
                    label, task=options.task, frame_id=frame, producer=producer, seq=0, annotator=options.annotator
                )
            )
        finally:
            appender.close()
    print(f"sent label {options.label} of {frame}; see `dead` if the learner refuses it, `status` if it is too late")


def read_label(text: str) -> Label:
    """Read a label from the command line.

    Raises:
        CiaoError: It begins like JSON, but is not valid JSON.

    >>> read_label("glad"), read_label('{"arousal": 0.5, "valence": -1}'), read_label('["glad", "calm"]')
    ('glad', {'arousal': 0.5, 'valence': -1}, ['glad', 'calm'])
    """
    if not text.startswith(("[", "{")):
        return text
    try:
        label: Label = json.loads(text)
    except ValueError as error:
        raise CiaoError(f"label {text}: not valid JSON: {error}") from error
    return label


def newest_frame(address: RedisAddress, names: StreamNames, task: str) -> str:
    """Return the id of the newest frame of a task.

    Raises:
        CiaoError: There is none among the newest entries.
    """
    from ciao_stream.stream.log.connection import translated_errors
    from ciao_stream.stream.log.keys import entries_of
    from ciao_stream.stream.log.messages import FrameHeader, header_of
    from ciao_stream.stream.log.refusals import BadMessage

    client = address.client()
    try:
        with translated_errors(address):
            page = client.xrevrange(names.stream, count=LOOKED_AT)
    finally:
        client.close()
    for entry in entries_of([[names.stream, page]]):
        try:
            header = header_of(entry.fields)
        except BadMessage:
            continue
        if isinstance(header, FrameHeader) and header.task == task:
            return header.frame_id
    raise CiaoError(f"no frame of task {task!r} among the newest {LOOKED_AT:,} entries of stream {names.stream!r}")
