"""``predict``: follow the stream and answer for every frame, with what the learner has learned so far."""

from __future__ import annotations

import argparse
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciao_stream.runtime.command import count, names, torch_device
from ciao_stream.stream.commands._options import folder_of, learner_option, server_of

if TYPE_CHECKING:
    from ciao_stream.encoders.base import Encoder
    from ciao_stream.stream.predict.predictor import Predictor
    from ciao_stream.stream.predict.served import WorldSource

SUMMARY = "follow the stream and answer for every frame, with what the learner has learned so far"

DEFAULT_RULE = "prototype"
"""By which a world is chosen unless another rule is named: what measured best."""


def add_options(p: argparse.ArgumentParser) -> None:
    """Describe the options."""
    learner_option(p)
    p.add_argument(
        "--exported", type=Path, metavar="DIR", help="answer with the worlds in this folder instead of a learner's"
    )
    p.add_argument("--encoder", default="ciao-face", metavar="E", help="what the worlds stand on (%(default)s)")
    p.add_argument("--device", default="auto", metavar="D", help="auto, cpu or cuda (%(default)s)")
    p.add_argument("--only", default="all", metavar="W", help="worlds that answer: NAME,NAME or all (%(default)s)")
    p.add_argument(
        "--choose",
        nargs="?",
        const=DEFAULT_RULE,
        metavar="RULE",
        help="one of them answers for each face, whatever task it came with: the one that fits it best by prototype "
        "(without RULE), energy or entropy; or by majority or random, to compare. With --smooth by its camera's faces "
        "so far",
    )
    p.add_argument(
        "--start", default="new", metavar="P", help="new, or the position after which to read; 0-0: the oldest (new)"
    )
    p.add_argument(
        "--group",
        metavar="NAME",
        help="share the frames with all predictors of this group; the stream keeps what it has not answered",
    )
    p.add_argument("--batch", type=count, default=8, metavar="N", help="most waiting faces encoded together (8)")
    p.add_argument("--results-kept", type=count, metavar="N", help="about how many results are kept (10000)")
    p.add_argument("--until-idle", type=float, metavar="S", help="end after so many seconds without an entry")
    p.add_argument("--max-frames", type=count, metavar="N", help="end after so many frames")
    p.add_argument("--json", action="store_true", help="print every result too, one JSON object per line")
    said = p.add_argument_group("answers")
    said.add_argument("--smooth", type=float, metavar="N", help="smooth over time, with a time constant of N frames")
    said.add_argument("--abstain", type=float, metavar="P", help='answer "" where the confidence is below P')
    said.add_argument(
        "--calibrate", action="store_true", help="calibrate confidence on frames that come with their labels"
    )
    said.add_argument(
        "--names", default="task", metavar="W", help="task, or ros4hri: as hri_msgs/Expression has them (%(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    """Answer until SIGTERM, Ctrl-C, or what the options say.

    Raises:
        CiaoError: The worlds, the encoder or the server cannot be had.
    """
    from rich.console import Console

    from ciao_stream.encoders import load_encoder
    from ciao_stream.runtime.stopping import Stop
    from ciao_stream.stream.log.feed import RESULTS_KEPT, FrameFeed
    from ciao_stream.stream.log.keys import StreamNames
    from ciao_stream.stream.predict.predictor import Predictor, PredictSettings
    from ciao_stream.stream.predict.served import UpToDate

    settings = PredictSettings(
        batch=options.batch,
        smooth=options.smooth,
        abstain=options.abstain,
        calibrate=options.calibrate,
        names=options.names,
        choose=options.choose,
        until_idle=options.until_idle,
        max_frames=options.max_frames,
    )
    console, stop, device = Console(stderr=True, highlight=False), Stop(), torch_device(options.device)

    def tell(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    def show(result: dict[str, Any]) -> None:
        if options.json:
            print(json.dumps(result), flush=True)

    with stop.on_signals(), server_of(options) as address:
        encoder = load_encoder(options.encoder).to(device)
        feed = FrameFeed(
            address,
            StreamNames(options.stream),
            start=options.start,
            group=options.group,
            kept=options.results_kept or RESULTS_KEPT,
        )
        wanted = [] if options.only == "all" else names(options.only)
        worlds = UpToDate(_source(options, encoder))
        predictor = Predictor(encoder, worlds, feed, settings, only=wanted, stop=stop, tell=tell, on_result=show)
        try:
            predictor.run()
        finally:
            tell(_summary(predictor))
    if stop.by_signal == signal.SIGINT:
        raise KeyboardInterrupt


def _source(options: argparse.Namespace, encoder: Encoder) -> WorldSource:
    from ciao_stream.exceptions import CiaoError
    from ciao_stream.stream.predict.served import CheckpointWorlds, ExportedWorlds

    if options.exported is None:
        return CheckpointWorlds(folder_of(options).checkpoints, encoder)
    if options.worlds is not None:
        raise CiaoError("--worlds is a learner's folder, and --exported one of worlds: give one of the two")
    source = ExportedWorlds(options.exported, encoder)
    if source.mark() is None:
        raise CiaoError(f"no world in {options.exported}: expected folders with a world.json each")
    return source


def _summary(predictor: Predictor) -> str:
    left = ", ".join(f"{reason} {n:,}" for reason, n in predictor.skipped.most_common())
    said = f"answered: {predictor.frames:,} frames, {predictor.results:,} results"
    return said + (f"; passed over {predictor.skipped.total():,}: {left}" if left else "")
