"""Small copies of AffectNet's layouts: both releases, every expression in both official sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

CODES = (
    "neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt", "none", "uncertain",
    "no face",
)  # fmt: skip
COLUMNS = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks", "expression",
    "valence", "arousal",
)  # fmt: skip
LISTS = {"training": "training.csv", "validation": "validation.csv"}
SETS = {"training": "train_set", "validation": "val_set"}


@dataclass(frozen=True)
class Face:
    """One annotated face."""

    name: str
    official: str
    code: int
    valence: float
    arousal: float
    image: np.ndarray
    """The expected image: the face, RGB."""

    @property
    def rated(self) -> bool:
        return self.valence != -2


def some_annotations(codes: int) -> list[tuple[str, int, float, float]]:
    """(official set, code, valence, arousal): four of each code in training, two in validation, in mixed order.

    Some faces of the first code that is not an emotion are rated, those of the other two never.
    """
    rng = np.random.default_rng(0)
    numbers = {"training": 4, "validation": 2}
    rows = [(official, code, n) for official, each in numbers.items() for code in range(codes) for n in range(each)]
    made = []
    for i in rng.permutation(len(rows)):
        official, code, n = rows[i]
        rated = code < 8 or (code == 8 and n % 2 == 0)
        valence, arousal = np.round(rng.uniform(-1, 1, 2), 6) if rated else (-2.0, -2.0)
        made.append((official, code, float(valence), float(arousal)))
    return made


def blocks(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Random flat blocks of 8x8, RGB, which survive jpg almost unchanged."""
    small = rng.integers(0, 256, (height // 8, width // 8, 1), dtype=np.uint8).repeat(3, axis=2)
    return small.repeat(8, axis=0).repeat(8, axis=1)


def write_image(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1])


def write_affectnet_2017(
    root: Path,
    *,
    reverse: bool = False,
    header: bool = True,
    lists: str = "affectnet/Manually_Annotated_file_lists",
    images: str = "affectnet/Manually_Annotated_Images",
) -> list[Face]:
    """Write the csv lists and photos with a face in a box each; some rows have neither a usable box nor a photo.

    Returns:
        The faces that have a box, in the order of the lists.
    """
    rng = np.random.default_rng(1)
    faces, photos = [], []
    rows: dict[str, list[str]] = {official: [] for official in LISTS}
    for number, (official, code, valence, arousal) in enumerate(some_annotations(11)):
        photo = rng.integers(0, 256, (72, 96, 3), dtype=np.uint8)
        x, y, width, height = (int(rng.integers(*ends)) for ends in ((20, 40), (2, 16), (40, 52), (32, 48)))
        name = f"{number % 3 + 1}/{rng.bytes(8).hex()}.{'png' if number % 2 else 'PNG'}"
        faces.append(Face(name, official, code, valence, arousal, photo[y : y + height, x : x + width]))
        photos.append((name, photo))
        landmarks = ";".join(f"{v:.2f}" for v in rng.uniform(0, 96, 136))
        cells = (name, x, y, width, height, landmarks, code, _text(valence), _text(arousal))
        rows[official].append(",".join(map(str, cells)))
    for official, box in (
        ("training", "NULL,NULL,NULL,NULL"),
        ("training", "NULL,NULL,NULL,NULL"),
        ("validation", "NULL,NULL,NULL,NULL"),
        ("training", "3,4,0,20"),
    ):
        rows[official].insert(3, f"1/{rng.bytes(8).hex()}.jpg,{box},,1,0.5,0.5")
    for name, photo in sorted(photos, key=lambda item: item[0], reverse=reverse):
        write_image(root / images / name, photo)
    (root / lists).mkdir(parents=True, exist_ok=True)
    for official, file in sorted(LISTS.items(), reverse=reverse):
        lines = [",".join(COLUMNS)] * header + rows[official]
        (root / lists / file).write_text("\n".join(lines) + "\n")
    return faces


def write_affectnet_2021(root: Path, *, reverse: bool = False, folder: str = "affectnet") -> list[Face]:
    """Write images and npy files; the ids run from 5, so that by number and by name they sort differently.

    Returns:
        The faces, by number.
    """
    rng = np.random.default_rng(2)
    faces = []
    for number, (official, code, valence, arousal) in enumerate(some_annotations(8), start=5):
        faces.append(Face(f"{number}.jpg", official, code, valence, arousal, blocks(rng, 64, 64)))
    for face in sorted(faces, key=lambda face: face.name, reverse=reverse):
        place, face_id = root / folder / SETS[face.official], face.name.removesuffix(".jpg")
        write_image(place / "images" / face.name, face.image)
        (place / "annotations").mkdir(exist_ok=True)
        code: list[object] = [str(face.code), face.code, str(face.code).encode()]
        write_annotation(place, face_id, "exp", code[int(face_id) % 3])
        write_annotation(place, face_id, "val", _text(face.valence))
        write_annotation(place, face_id, "aro", face.arousal)
        np.save(place / "annotations" / f"{face_id}_lnd.npy", rng.uniform(0, 64, 136))
    return faces


def write_annotation(place: Path, face_id: str, kind: str, value: object) -> None:
    np.save(place / "annotations" / f"{face_id}_{kind}.npy", np.array(value))


def _text(value: float) -> str:
    return str(int(value) if value == int(value) else value)
