"""What to explain: the options of the command."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from ciao_stream.encoders import check_encoder_name
from ciao_stream.exceptions import CiaoError
from ciao_stream.explain.folder import WorldFolder, find_worlds
from ciao_stream.report.embed import EXPLAIN
from ciao_stream.runtime.options import option, validate


@dataclass(frozen=True)
class Request:
    """What to explain.

    Args:
        run: Results of a benchmark, or a folder of saved worlds.
        out: Folder of figures and numbers.
        images: Image files, or folders of them, to explain in place of the faces of the run.
        crop: Crop the images to the face, with the detector haar or yunet:FILE.
        tasks: Tasks whose worlds are explained.
        strategies: Strategies whose worlds are explained.
        method: Saliency method; the paper uses grad-cam++.
        label: Explain this label, whatever is predicted.
        seed: Seed of the benchmark whose worlds are explained; also draws faces and random maps.
        faces: Number of faces of each task over which results are averaged.
        rows: Number of faces of each task in the figures.
        curve_faces: Number of faces in the deletion and insertion curves.
        data_root: Folder that holds the data sets.
        encoder: Encoder of the worlds, by name or folder.
        device: Where to compute.

    Raises:
        CiaoError: A value is out of range, the run has no such worlds, or an image does not exist.
    """

    run: Path = option(metavar="DIR")
    out: Path = option(metavar="DIR")
    images: tuple[Path, ...] = ()
    crop: str | None = option(None, const="haar", metavar="DETECTOR")
    tasks: tuple[str, ...] | None = option(None, shown="all with worlds")
    strategies: tuple[str, ...] | None = option(None, shown="all with worlds")
    method: Literal["grad-cam++", "grad-cam", "hirescam"] = "grad-cam++"
    label: str | None = option(None, shown="the predicted one; arousal and valence both")
    seed: int = option(0, least=0)
    faces: int = option(100, least=1)
    rows: int = option(5, least=1)
    curve_faces: int = option(40, least=1)
    data_root: str | None = option(None, metavar="DIR", shown="that of the run")
    encoder: str | None = option(None, shown="that of the run")
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        validate(self)
        if (self.out / EXPLAIN).exists():
            raise CiaoError(f"{self.out} already holds an explanation: choose another --out")
        if absent := [path for path in self.images if not path.exists()]:
            raise CiaoError(f"--images {absent[0]}: no such file or folder")
        if self.encoder is not None:
            check_encoder_name(self.encoder)
        _ = self.worlds  # refuses a folder without such worlds
        if self.crop is not None:
            from ciao_stream.faces.detection import check_detector

            check_detector(self.crop)

    @cached_property
    def worlds(self) -> WorldFolder:
        """The worlds to explain, not loaded yet."""
        return find_worlds(self.run, self.seed).only(self.tasks, self.strategies)
