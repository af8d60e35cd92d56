"""Detects faces in photographs and camera frames, with OpenCV's detectors.

References:
    - [0] Viola, Jones: Rapid Object Detection using a Boosted Cascade of Simple Features, CVPR 2001
    - [1] Wu, Peng, Yu: YuNet, A Tiny Millisecond-level Face Detector, Machine Intelligence Research 20 (2023)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ciao_stream.exceptions import CiaoError, UnknownNameError
from ciao_stream.faces.dataset import Image, check_image
from ciao_stream.runtime.expect import expect

Boxes = npt.NDArray[np.int64]
"""int64 (N, 4): x and y of the upper left corner, width and height, in pixels; largest face first."""

LONGEST_SIDE = 640
"""Pixels. Larger images are shrunk to this size before detection."""

SMALLEST_SHARE = 0.12
"""Least width of a face for Haar, as a share of the image's shorter side."""

HAAR_FILE = "haarcascade_frontalface_alt2.xml"
"""The cascade; it finds at least as many faces of FER2013 as OpenCV's others, and is faster."""

HAAR_STEP, HAAR_NEIGHBOURS = 1.1, 3
"""Ratio of successive scales, and how many overlapping detections make a face."""

YUNET_SCORE = 0.6
"""Least score of a face by YuNet, in [0, 1]."""


class Detector(Protocol):
    """Detects faces; picklable."""

    @property
    def name(self) -> str:
        """Short name, for results (``haar``)."""
        ...

    @property
    def fingerprint(self) -> str:
        """Text that changes with anything that affects the boxes."""
        ...

    def find(self, image: Image) -> Boxes:
        """Detect the faces of one image.

        Args:
            image: uint8 (height, width) gray, or (height, width, 3) RGB.

        Returns:
            int64 (N, 4), see :data:`Boxes`; N may be 0.

        Raises:
            CiaoError: ``image`` has another type or shape.
        """
        ...


def check_detector(name: str) -> None:
    """Refuse a detector that :func:`load_detector` does not know, or whose file is missing, without loading OpenCV.

    Raises:
        UnknownNameError: There is no such detector.
        CiaoError: Its model file is missing.
    """
    kind, _, file = name.partition(":")
    if name != "haar" and kind != "yunet":
        raise UnknownNameError("face detector", name, ["haar", "yunet:FILE"])
    if kind == "yunet" and not file:
        raise CiaoError("face detector 'yunet' needs its model file: give yunet:FILE (from OpenCV's model zoo)")
    if file and not Path(file).exists():
        raise CiaoError(f"face detector: {file} cannot be read (No such file or directory)")


def load_detector(name: str = "haar") -> Detector:
    """Return a detector by name.

    Args:
        name: ``haar``: the cascade [0] of OpenCV 4. ``yunet:FILE``: YuNet [1] with its model file, such
            as ``face_detection_yunet_2023mar.onnx`` of the OpenCV model zoo.

    Raises:
        UnknownNameError: There is no such detector.
        CiaoError: Its model file is missing or damaged.
    """
    expect("detector", name, str)
    check_detector(name)
    if name == "haar":
        return HaarDetector()
    detector = YuNetDetector(Path(name.removeprefix("yunet:")))
    detector.find(np.zeros((64, 64), np.uint8))
    return detector


@dataclass(frozen=True)
class HaarDetector:
    """Haar features in a boosted cascade [0], on the gray image."""

    name = "haar"

    @property
    def fingerprint(self) -> str:
        """The cascade and its settings."""
        return f"{HAAR_FILE}/{LONGEST_SIDE}/{SMALLEST_SHARE}/{HAAR_STEP}/{HAAR_NEIGHBOURS}"

    @cached_property
    def _cascade(self) -> Any:
        import cv2

        if not hasattr(cv2, "CascadeClassifier"):
            raise CiaoError("face detector 'haar': OpenCV 5 has no cascades; install opencv-python-headless<5")
        return cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / HAAR_FILE))  # type: ignore[attr-defined]

    def find(self, image: Image) -> Boxes:
        """See :meth:`Detector.find`."""
        import cv2

        small, scale = _shrink(image)
        gray = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        least = max(int(SMALLEST_SHARE * min(gray.shape)), 1)
        found = self._cascade.detectMultiScale(gray, HAAR_STEP, HAAR_NEIGHBOURS, minSize=(least, least))
        return _by_size(np.asarray(found, dtype=np.float64).reshape(-1, 4) / scale)

    def __getstate__(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class YuNetDetector:
    """A convolutional detector [1]; its rectangles are widened to squares.

    Args:
        model: The ONNX file.
    """

    model: Path
    name = "yunet"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the model, and the settings."""
        return f"{hashlib.sha256(self._content()).hexdigest()}/{LONGEST_SIDE}/{YUNET_SCORE}"

    @cached_property
    def _net(self) -> Any:
        import cv2

        content = self._content()
        try:
            return cv2.FaceDetectorYN.create("onnx", np.frombuffer(content, np.uint8), np.empty(0, np.uint8), (64, 64))
        except cv2.error as error:
            raise self._unusable() from error

    def find(self, image: Image) -> Boxes:
        """See :meth:`Detector.find`."""
        import cv2

        small, scale = _shrink(image)
        net = self._net
        net.setInputSize(small.shape[1::-1])
        net.setScoreThreshold(YUNET_SCORE)
        try:
            found = net.detect(cv2.cvtColor(small, cv2.COLOR_GRAY2BGR if small.ndim == 2 else cv2.COLOR_RGB2BGR))[1]
        except cv2.error as error:
            raise self._unusable() from error
        boxes = np.empty((0, 4)) if found is None else np.asarray(found, dtype=np.float64)[:, :4] / scale
        boxes = boxes[np.isfinite(boxes).all(axis=1)]  # tiny images give boxes that are not finite
        side = boxes[:, 2:].max(axis=1, keepdims=True)
        return _by_size(np.hstack([boxes[:, :2] + (boxes[:, 2:] - side) / 2, side, side]))

    def _content(self) -> bytes:
        try:
            return self.model.read_bytes()
        except OSError as error:
            raise CiaoError(f"face detector: {self.model} cannot be read ({error.strerror or error})") from error

    def _unusable(self) -> CiaoError:
        return CiaoError(f"face detector: {self.model} is not a YuNet model that OpenCV can run; get the file again")

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model}


def _shrink(image: Image) -> tuple[Image, float]:
    """Return the image, shrunk to the limit if it is larger, and the factor."""
    import cv2

    check_image(image)

    scale = min(LONGEST_SIDE / max(image.shape[:2]), 1.0)
    if scale == 1:
        return np.ascontiguousarray(image), 1.0
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale


def _by_size(boxes: npt.NDArray[np.float64]) -> Boxes:
    """Round boxes to pixels and sort them: largest first, then by position."""
    whole = np.round(boxes).astype(np.int64)
    return whole[np.lexsort((whole[:, 1], whole[:, 0], -whole[:, 2] * whole[:, 3]))]
