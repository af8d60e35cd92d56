"""``publish``: send frames of a camera, a film, an address, a folder or a data set to the stream."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from ciao_stream.runtime.command import count, data_root, output_console
from ciao_stream.stream.commands._server import server_of
from ciao_stream.stream.commands._stopping import ending_on_sigterm

if TYPE_CHECKING:
    from ciao_stream.faces.detection import Detector
    from ciao_stream.faces.task import TaskSpec
    from ciao_stream.stream.publish.publisher import Published, PublishSettings
    from ciao_stream.stream.sources import Source

SUMMARY = "send frames of a camera, a film, an address, a folder or a data set to the stream"


def add_options(p: argparse.ArgumentParser) -> None:
    """Describe the options."""
    p.add_argument(
        "source",
        metavar="SOURCE",
        help="camera:NUMBER, video:FILE, rtsp://..., http(s)://..., folder:DIR, or dataset:TASK, which is replayed "
        "with its labels, or synthetic:robot[,frames=N][,seed=N], a drawn camera whose person and light change midway",
    )
    p.add_argument(
        "--task",
        metavar="T",
        help="what pictures without labels are for: the name of a data set's task, or NAME=LABEL,LABEL,...",
    )
    p.add_argument("--kind", metavar="K", help="kind of target of NAME=LABEL,LABEL,... (categorical)")
    p.add_argument(
        "--labels",
        default="with",
        metavar="W",
        help="of a data set: with their frames, none, or later:N, each N frames after its own (%(default)s)",
    )
    p.add_argument("--rate", type=float, metavar="N", help="most frames per second (as fast as the stream takes them)")
    p.add_argument("--limit", type=count, metavar="N", help="stop after so many frames")
    p.add_argument(
        "--max-backlog",
        type=count,
        metavar="N",
        help="wait while so many entries wait for the learner, or for a group of predictors (10000)",
    )
    images = p.add_argument_group("images")
    images.add_argument(
        "--face-crop", default="auto", metavar="W", help="auto (photographs), always or never (%(default)s)"
    )
    images.add_argument("--detector", default="haar", metavar="D", help="haar or yunet:FILE (%(default)s)")
    images.add_argument(
        "--encode", default="auto", metavar="F", help="jpeg, png, or auto: photographs as jpeg, faces as png"
    )
    data = p.add_argument_group("data sets")
    data.add_argument(
        "--data-root", metavar="DIR", help="folder that holds them ($CIAO_DATA_ROOT; without: synthetic worlds)"
    )
    data.add_argument("--split", metavar="S", help="train, validation or test (train)")
    data.add_argument("--shuffle", type=int, metavar="SEED", help="in an order drawn by this seed (the split's own)")
    data.add_argument("--synthetic-size", type=count, metavar="N", help="faces of a synthetic world's split")


@ending_on_sigterm()
def run(options: argparse.Namespace) -> None:
    """Publish a source.

    Raises:
        CiaoError: The source, the task or the server cannot be had.
    """
    from ciao_stream.stream.log.append import MAX_BACKLOG
    from ciao_stream.stream.log.keys import StreamNames
    from ciao_stream.stream.publish.producers import producer_name
    from ciao_stream.stream.publish.publisher import Publisher
    from ciao_stream.stream.sources import DatasetOptions, open_source

    names = StreamNames(options.stream)
    replay = DatasetOptions(data_root(options.data_root), options.split, options.shuffle, options.synthetic_size)
    source = open_source(options.source, replay)
    spec = _task(source, options)
    detector = _detector(source, options)
    settings = _settings(source, options, cropped=detector is not None)
    decides = {**settings.decides(), "crop": detector and detector.fingerprint}
    options.resumes = source.fingerprint is not None
    producer = producer_name(source, spec, decides)
    with server_of(options) as address:
        backlog = options.max_backlog or MAX_BACKLOG
        publisher = Publisher(address, producer, spec, settings, names=names, place=source.place, max_backlog=backlog)
        try:
            with _showing(source, settings.limit) as (tell, watch), closing(source.frames(tell)) as pictures:
                publisher.run(_cut(pictures, detector), tell, watch)
        finally:
            said = f"{_summary(publisher.published)}; task {spec.name!r} in stream {names.stream!r}, as {producer}"
            output_console(highlight=False).print(f"published {said}", markup=False, soft_wrap=True)


def _task(source: Source, options: argparse.Namespace) -> TaskSpec:
    from ciao_stream.exceptions import CiaoError
    from ciao_stream.stream.publish.known_tasks import read_task

    if source.spec is not None:
        if options.task is not None or options.kind is not None:
            raise CiaoError(f"source {options.source!r} has the task {source.spec.name!r}: leave out --task and --kind")
        return source.spec
    if options.task is None:
        raise CiaoError("these pictures bring no task: give --task NAME, or --task NAME=LABEL,LABEL,... for your own")
    return read_task(options.task, options.kind)


def _detector(source: Source, options: argparse.Namespace) -> Detector | None:
    """Return what finds the faces; None where the pictures are faces already."""
    from ciao_stream.exceptions import UnknownNameError
    from ciao_stream.faces.detection import load_detector

    if options.face_crop not in ("auto", "always", "never"):
        raise UnknownNameError("face crop", options.face_crop, ("auto", "always", "never"))
    crop = source.framing == "photo" if options.face_crop == "auto" else options.face_crop == "always"
    return load_detector(options.detector) if crop else None


def _settings(source: Source, options: argparse.Namespace, cropped: bool) -> PublishSettings:
    from ciao_stream.exceptions import CiaoError, UnknownNameError
    from ciao_stream.stream.publish.publisher import PublishSettings

    how, _, later = options.labels.partition(":")
    if how not in ("with", "none", "later") or (how == "later") != later.isdecimal() or (later and how != "later"):
        raise CiaoError(f"--labels {options.labels}: expected with, none, or later:N such as later:20")
    if source.spec is None and options.labels != "with":
        raise CiaoError(f"--labels {options.labels}: source {options.source!r} has no labels")
    if options.encode not in ("auto", "jpeg", "png"):
        raise UnknownNameError("encoding", options.encode, ("auto", "jpeg", "png"))
    photo = cropped or source.framing == "photo"
    return PublishSettings(
        labelled=how != "none",
        later=int(later) if later else None,
        form=("jpeg" if photo else "png") if options.encode == "auto" else options.encode,
        limit=options.limit,
        rate=options.rate,
    )


def _cut(pictures: Iterator[Any], detector: Detector | None) -> Iterator[Any]:
    from ciao_stream.stream.publish.crop import cut_to_faces

    return pictures if detector is None else cut_to_faces(pictures, detector)


def _summary(published: Published) -> str:
    """Say what was published.

    >>> from ciao_stream.stream.publish.publisher import Published
    >>> _summary(Published(frames=1200, labels=7, known=3))
    '1,200 frames and 7 labels (3 messages were there already)'
    """
    parts = [f"{published.frames:,} frames and {published.labels:,} labels"]
    if published.known:
        parts[0] += f" ({published.known:,} messages were there already)"
    for reason, n in published.skipped.items():
        parts.append(f"left out {n:,}: {reason} (first: {published.examples[reason]})")
    return "; ".join(parts)


@contextmanager
def _showing(source: Source, limit: int | None) -> Iterator[tuple[Callable[[str], None], Callable[[Published], None]]]:
    """Show on stderr how far it is, and what is waited for."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    total = min((n for n in (source.count, limit) if n is not None), default=None)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("publishing", total=total)
        told = ""

        def tell(line: str) -> None:
            nonlocal told
            if line != told:
                told = line
                progress.console.print(f"waiting: {line}", markup=False, highlight=False, soft_wrap=True)

        def watch(published: Published) -> None:
            progress.update(bar, completed=published.frames + (0 if limit else published.skipped.total()))

        yield tell, watch
