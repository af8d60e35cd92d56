"""Small copies of SFEW 2.0's layouts: folders of Train and Val, aligned or not, plain or nested."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.own_files import save

CLASSES = {
    "Angry": "anger", "Disgust": "disgust", "Fear": "fear", "Happy": "happiness", "Neutral": "neutral",
    "Sad": "sadness", "Surprise": "surprise",
}  # fmt: skip


def write_sfew(
    root: Path,
    *,
    reverse: bool = False,
    home: str = "sfew",
    train: str = "Train_Aligned_Faces",
    val: str = "Val_Aligned_Faces",
    nested: bool = False,
) -> dict[str, str]:
    """Three faces per class in train, two in val; returns {path below HOME: label}."""
    truth = {
        f"{folder}/{name}/{f'{name}/' if nested else ''}{movie}_{index}{n}.png": label
        for folder, movie, per_class in ((train, "Airheads_000519", 3), (val, "Alone_0017", 2))
        for index, (name, label) in enumerate(CLASSES.items())
        for n in range(per_class)
    }
    save(root / home, truth, reverse=reverse)
    return truth
