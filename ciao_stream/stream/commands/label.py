"""``label``: give a frame of the stream its label, or correct its label."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from itertools import chain
from typing import TYPE_CHECKING

from ciao_stream.exceptions import CiaoError, UnknownNameError, did_you_mean
from ciao_stream.stream.commands._options import folder_of, learner_option, server_of

if TYPE_CHECKING:
    from ciao_stream.faces.task import TaskSpec
    from ciao_stream.stream.log.connection import RedisAddress
    from ciao_stream.stream.log.events import Label
    from ciao_stream.stream.log.keys import StreamNames
    from ciao_stream.stream.log.messages import Header

SUMMARY = "give a frame its label, or correct it"

NEWEST = "newest"
"""Name for the newest frame."""

LOOKED_AT = 1000
"""Newest entries of the stream that are searched for a frame or a task."""

PAGE = 50
"""Entries per command."""


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options."""
    learner_option(p)
    p.add_argument("frame", metavar="FRAME", help=f"Id of the frame, or {NEWEST} for the newest frame of the task")
    p.add_argument(
        "label",
        metavar="LABEL",
        help="A class; or as JSON: votes or values by name ('{\"valence\": 0.5}'), or a list of the labels that are "
        "present ('[\"glad\"]')",
    )
    p.add_argument("--task", required=True, metavar="NAME", help="Task of the frame")
    p.add_argument("--annotator", metavar="NAME", help="Name of the annotator")


def run(options: argparse.Namespace) -> None:
    """Send the label."""
    import secrets

    from ciao_stream.stream.log.append import Appender
    from ciao_stream.stream.log.keys import StreamNames
    from ciao_stream.stream.log.messages import encode_label

    label, names, frame = read_label(options.label), StreamNames(options.stream), options.frame
    with server_of(options) as address:
        learned = _learned_tasks(options, str(address()))
        check_label(label, options.task, learned, newest_headers(address(), names))
        if frame == NEWEST:
            frame = newest_frame(address(), names, options.task)
        elif (hint := did_you_mean(frame, [NEWEST])) and frame not in {
            getattr(header, "frame_id", None) for header in newest_headers(address(), names)
        }:
            raise CiaoError(f"no frame {frame!r} in stream {names.stream!r}: {hint}")
        about = {"task": options.task, "frame_id": frame, "annotator": options.annotator}
        message = encode_label(label, producer=f"label-{secrets.token_hex(6)}", seq=0, **about)
        with closing(Appender(address(), names)) as appender:
            appender.append(message)
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


def check_label(label: Label, task: str, learned: Mapping[str, TaskSpec], headers: Iterable[Header]) -> None:
    """Refuse a label that does not fit its task.

    Args:
        label: The label.
        task: Name of its task.
        learned: The tasks that the learner knows, by name.
        headers: Of the newest entries, the newest first: the learner may not have read the last declaration yet.

    Raises:
        CiaoError: The label fits no declaration of the task, or the learner's tasks are known and it is not among them.
    """
    from ciao_stream.faces.task import TaskSpec
    from ciao_stream.stream.log.labels import label_target
    from ciao_stream.stream.log.messages import TaskHeader
    from ciao_stream.stream.log.refusals import BadMessage

    newer = (TaskSpec(h.task, h.target, h.labels) for h in headers if isinstance(h, TaskHeader) and h.task == task)
    problem = None
    for spec in chain([learned[task]] if task in learned else [], newer):
        try:
            label_target(spec, label)
        except BadMessage as error:
            problem = error
        else:
            return
    if problem is not None:
        raise problem
    if learned:
        raise UnknownNameError("task", task, learned)


def newest_frame(address: RedisAddress, names: StreamNames, task: str) -> str:
    """Return the id of the newest frame of a task.

    Raises:
        CiaoError: There is none among the newest entries.
    """
    from ciao_stream.stream.log.messages import FrameHeader

    for header in newest_headers(address, names):
        if isinstance(header, FrameHeader) and header.task == task:
            return header.frame_id
    raise CiaoError(f"no frame of task {task!r} among the newest {LOOKED_AT:,} entries of stream {names.stream!r}")


def newest_headers(address: RedisAddress, names: StreamNames) -> Iterator[Header]:
    """Yield the headers of the newest entries, the newest first; entries that the learner will refuse are left out."""
    from ciao_stream.stream.log.connection import translated_errors
    from ciao_stream.stream.log.keys import entries_of
    from ciao_stream.stream.log.messages import header_of
    from ciao_stream.stream.log.refusals import BadMessage

    last = "+"
    with address.client() as client:
        for _ in range(LOOKED_AT // PAGE):
            with translated_errors(address):
                page = entries_of([[names.stream, client.xrevrange(names.stream, last, count=PAGE)]])
            for entry in page:
                with suppress(BadMessage):
                    yield header_of(entry.fields)
            if len(page) < PAGE:
                return
            last = f"({page[-1].position}"


def _learned_tasks(options: argparse.Namespace, server: str) -> dict[str, TaskSpec]:
    """Return the tasks that the learner knows, by name; none where no learner has followed this stream."""
    from ciao_stream.faces.task import TaskSpec
    from ciao_stream.stream.learner.status import read_status

    with suppress(CiaoError):
        status = read_status(folder_of(options).status)
        if options.redis is None or status["redis"] == server:
            return {task["name"]: TaskSpec.from_json(task) for task in status["tasks"]}
    return {}
