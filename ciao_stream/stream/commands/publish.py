"""``publish``: send frames from a camera, video, URL, folder or data set to the stream."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.folders import data_root
from ciao_stream.runtime.options import add_options as setting_options
from ciao_stream.runtime.options import count, given
from ciao_stream.runtime.stopping import ended_by_signals
from ciao_stream.stream.commands._options import server_of
from ciao_stream.stream.publish.settings import PublishSettings
from ciao_stream.stream.sources import DatasetOptions, forms

if TYPE_CHECKING:
    from ciao_stream.faces.detection import Detector
    from ciao_stream.faces.task import TaskSpec
    from ciao_stream.stream.publish.publisher import Published
    from ciao_stream.stream.sources import Source

SUMMARY = "send frames from a camera, video, URL, folder or data set to the stream"


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options."""
    p.add_argument("source", metavar="SOURCE", help=f"{', '.join(forms())}; or a camera's number, a file or a folder")
    p.add_argument(
        "--task",
        metavar="TASK",
        help="Task of a source without labels: the name of a data set's task, or NAME=LABEL,LABEL,...",
    )
    p.add_argument("--kind", metavar="KIND", help="Kind of target of NAME=LABEL,LABEL,... (default: categorical)")
    p.add_argument(
        "--labels",
        default="with",
        metavar="WHEN",
        help="When to send a data set's labels: with their frames, later:N (N frames later) or none (default: with)",
    )
    setting_options(p, PublishSettings, leave_out=("labelled", "later", "form"))
    p.add_argument(
        "--max-backlog",
        type=count,
        metavar="N",
        help="Wait while the learner, or a group of predictors, has this many entries to process (default: 10000)",
    )
    images = p.add_argument_group("images")
    images.add_argument(
        "--face-crop",
        default="auto",
        choices=("auto", "always", "never"),
        help="Cut images to the face; auto: photographs only (default: auto)",
    )
    images.add_argument(
        "--detector", default="haar", metavar="NAME", help="Face detector: haar or yunet:FILE (default: haar)"
    )
    images.add_argument(
        "--encode",
        default="auto",
        choices=("auto", "jpeg", "png"),
        help="Encoding of images; auto: photographs as jpeg, faces as png (default: auto)",
    )
    data = p.add_argument_group("data sets")
    data.add_argument(
        "--data-root", metavar="DIR", help="Folder that holds them (default: $CIAO_DATA_ROOT, else synthetic worlds)"
    )
    setting_options(data, DatasetOptions, leave_out=["data_root"])


@ended_by_signals()
def run(options: argparse.Namespace) -> None:
    """Publish a source."""
    settings = _settings(options)
    replay = DatasetOptions(**{**given(options, DatasetOptions), "data_root": data_root(options.data_root)})

    from ciao_stream.stream.log.append import MAX_BACKLOG
    from ciao_stream.stream.log.keys import StreamNames
    from ciao_stream.stream.publish.publisher import Publisher, cut_to_faces, producer_name
    from ciao_stream.stream.sources import open_source

    names = StreamNames(options.stream)
    source = open_source(options.source, replay)
    spec = _task(source, options)
    detector = _detector(source, options)
    if options.encode == "auto" and (detector is not None or source.framing == "photo"):
        settings = replace(settings, form="jpeg")
    decides = {**settings.decides(), "crop": detector and detector.fingerprint}
    options.resumes = source.fingerprint is not None
    producer = producer_name(source, spec, decides)
    with server_of(options) as address:
        backlog = options.max_backlog or MAX_BACKLOG
        publisher = Publisher(address, producer, spec, settings, names=names, place=source.place, max_backlog=backlog)
        try:
            with _showing(source, settings.limit) as (tell, watch), closing(source.frames(tell)) as frames:
                publisher.run(frames if detector is None else cut_to_faces(frames, detector), tell, watch)
        finally:
            sent = f"{_summary(publisher.published)}; task {spec.name!r} in stream {names.stream!r}, as {producer}"
            print(f"published {sent}")
    if not publisher.published.frames:
        raise CiaoError(_why_nothing(publisher.published))


def _settings(options: argparse.Namespace) -> PublishSettings:
    how, _, later = options.labels.partition(":")
    if how not in ("with", "none", "later") or (how == "later") != later.isdecimal() or (later and how != "later"):
        raise CiaoError(f"--labels {options.labels}: expected with, none, or later:N such as later:20")
    return PublishSettings(
        labelled=how != "none",
        later=int(later) if later else None,
        form="jpeg" if options.encode == "jpeg" else "png",
        **given(options, PublishSettings),
    )


def _task(source: Source, options: argparse.Namespace) -> TaskSpec:
    from ciao_stream.stream.publish.tasks import read_task

    if source.spec is not None:
        if options.task is not None or options.kind is not None:
            raise CiaoError(f"source {options.source!r} has the task {source.spec.name!r}: omit --task and --kind")
        return source.spec
    if options.labels != "with":
        raise CiaoError(f"--labels {options.labels}: source {options.source!r} has no labels")
    if options.task is None:
        raise CiaoError(
            f"source {options.source!r} has no task: give --task NAME, or your own labels: --task NAME=LABEL,LABEL,..."
        )
    return read_task(options.task, options.kind)


def _detector(source: Source, options: argparse.Namespace) -> Detector | None:
    """Return the face detector; None where the images are not cropped."""
    from ciao_stream.faces.detection import load_detector

    crop = source.framing == "photo" if options.face_crop == "auto" else options.face_crop == "always"
    return load_detector(options.detector) if crop else None


def _summary(published: Published) -> str:
    """Return what was published, in one line.

    >>> from ciao_stream.stream.publish.publisher import Published
    >>> _summary(Published(frames=1200, labels=7, known=3))
    '1,200 frames and 7 labels (3 messages were sent before)'
    """
    parts = [f"{published.frames:,} frames and {published.labels:,} labels"]
    if published.known:
        parts[0] += f" ({published.known:,} messages were sent before)"
    for reason, n in published.skipped.items():
        parts.append(f"skipped {n:,}: {reason} (first: {published.examples[reason]})")
    return "; ".join(parts)


def _why_nothing(published: Published) -> str:
    """Return why no frame was published, and what to do."""
    from ciao_stream.stream.publish.publisher import NO_FACE

    if not published.skipped:
        return "the source has no frame: nothing was published"
    reason, n = published.skipped.most_common(1)[0]
    hint = ": if these are cut to the face already, give --face-crop never" if reason == NO_FACE else ""
    return f"nothing was published: {reason} ({n:,} of {published.skipped.total():,} images){hint}"


@contextmanager
def _showing(source: Source, limit: int | None) -> Iterator[tuple[Callable[[str], None], Callable[[Published], None]]]:
    """Show progress on stderr, and what the publisher waits for."""
    from ciao_stream.runtime.console import ConsoleProgress

    progress = ConsoleProgress()
    total = min((n for n in (source.count, limit) if n is not None), default=None)
    with progress.bar("publishing", total) as bar:
        last = ""

        def tell(line: str) -> None:
            nonlocal last
            if line != last:
                last = line
                progress.console.print(f"waiting: {line}", markup=False, highlight=False, soft_wrap=True)

        def watch(published: Published) -> None:
            done = published.frames + (0 if limit else published.skipped.total())
            bar.reach(done, f"publishing: {done:,} frames" if total is None else None)

        yield tell, watch
