"""``predict``: follow the stream and predict every frame with the newest worlds of the learner."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.runtime.options import add_options as setting_options
from ciao_stream.runtime.options import count, given, names
from ciao_stream.stream.commands._options import (
    check_encoder_name,
    encoder_options,
    folder_of,
    learner_option,
    server_of,
)
from ciao_stream.stream.predict.settings import PredictSettings

if TYPE_CHECKING:
    from ciao_stream.encoders.base import Encoder
    from ciao_stream.stream.predict.predictor import Predictor
    from ciao_stream.stream.predict.worlds import WorldSource

SUMMARY = "follow the stream and predict every frame with the newest worlds of the learner"


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options."""
    learner_option(p)
    p.add_argument("--exported", type=Path, metavar="DIR", help="Use the worlds in this folder instead of a learner's")
    encoder_options(p)
    p.add_argument("--only", default="all", metavar="NAME,NAME", help="Worlds to use (default: all)")
    p.add_argument(
        "--start",
        default="new",
        metavar="POSITION",
        help="Start after this position: new for the end of the stream, 0-0 for its beginning (default: new)",
    )
    p.add_argument(
        "--group",
        metavar="NAME",
        help="Share the frames with all predictors of this group; the stream keeps each until one has predicted it",
    )
    p.add_argument(
        "--results-kept", type=count, metavar="N", help="Number of predictions to keep (default: about 10000)"
    )
    p.add_argument("--json", action="store_true", help="Also print each prediction, as one JSON object per line")
    setting_options(p.add_argument_group("predictions"), PredictSettings)


def run(options: argparse.Namespace) -> None:
    """Predict until SIGTERM, Ctrl-C, or as the options say."""
    settings = PredictSettings(**given(options, PredictSettings))
    check_encoder_name(options.encoder)
    if options.exported is not None and options.worlds is not None:
        raise CiaoError("--worlds is the folder of a learner and --exported a folder of worlds: give one of them")
    only, known = () if options.only == "all" else names(options.only), _known_worlds(options)
    for name in only:
        if known and name not in known:
            raise UnknownNameError("world", name, known)

    from rich.console import Console

    from ciao_stream.encoders import load_encoder
    from ciao_stream.runtime.device import torch_device
    from ciao_stream.runtime.stopping import Stop
    from ciao_stream.stream.log.feed import RESULTS_KEPT, FrameFeed
    from ciao_stream.stream.log.keys import StreamNames
    from ciao_stream.stream.predict.predictor import Predictor
    from ciao_stream.stream.predict.worlds import UpToDate

    console, stop, device = Console(stderr=True, highlight=False), Stop(), torch_device(options.device)

    def tell(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    def show(result: dict[str, Any]) -> None:
        if options.json:
            print(json.dumps(result), flush=True)

    with stop.on_signals(), server_of(options) as address:
        feed = FrameFeed(
            address,
            StreamNames(options.stream),
            start=options.start,
            group=options.group,
            kept=options.results_kept or RESULTS_KEPT,
        )
        encoder = load_encoder(options.encoder).to(device)
        worlds = UpToDate(_source(options, encoder))
        predictor = Predictor(encoder, worlds, feed, settings, only=only, stop=stop, tell=tell, on_result=show)
        try:
            predictor.run()
        finally:
            tell(_summary(predictor))
    if stop.by_signal == signal.SIGINT:
        raise KeyboardInterrupt


def _known_worlds(options: argparse.Namespace) -> list[str]:
    """Return the names of the worlds without loading any; an empty list where they cannot be known yet."""
    from ciao_stream.stream.learner.status import read_status

    if options.exported is None:
        with contextlib.suppress(CiaoError):  # no learner yet
            return list(read_status(folder_of(options).status)["worlds"])
        return []
    files = sorted(options.exported.glob("*/world.json"))
    if not files:
        raise CiaoError(f"no world in {options.exported}: expected one folder per world, each with a world.json")
    try:
        return [json.loads(file.read_text())["task"]["name"] for file in files]
    except (OSError, ValueError, TypeError, KeyError):
        return []  # loading the worlds will say what is damaged


def _source(options: argparse.Namespace, encoder: Encoder) -> WorldSource:
    from ciao_stream.stream.predict.worlds import CheckpointWorlds, ExportedWorlds

    if options.exported is None:
        return CheckpointWorlds(folder_of(options).checkpoints, encoder)
    return ExportedWorlds(options.exported, encoder)


def _summary(predictor: Predictor) -> str:
    skipped = ", ".join(f"{reason} {n:,}" for reason, n in predictor.skipped.most_common())
    text = f"made {predictor.results:,} predictions for {predictor.frames:,} frames"
    return text + (f"; skipped {predictor.skipped.total():,}: {skipped}" if skipped else "")
