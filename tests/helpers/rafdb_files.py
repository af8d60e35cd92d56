"""Small copies of the layouts of RAF-DB's basic part: the official one with its list, and folders by number."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.own_files import save

CLASSES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
PER_CLASS = {"train": 3, "test": 2}


def rafdb_labels() -> dict[str, str]:
    """{name in the list: label}, the classes in turn."""
    return {
        f"{split}_{row * 7 + index + 1:0{5 if split == 'train' else 4}d}.jpg": label
        for split, n in PER_CLASS.items()
        for row in range(n)
        for index, label in enumerate(CLASSES)
    }


def aligned(name: str) -> str:
    return name.replace(".jpg", "_aligned.jpg")


def write_rafdb(
    root: Path, *, reverse: bool = False, home: str = "rafdb/basic", list_name: str = "list_patition_label.txt"
) -> dict[str, str]:
    """The official version, aligned faces and original photos; returns {name in the list: label}."""
    truth = rafdb_labels()
    save(root / home / "Image" / "aligned", map(aligned, truth), reverse=reverse)
    save(root / home / "Image" / "original", truth, reverse=reverse)
    path = root / home / "EmoLabel" / list_name
    path.parent.mkdir()
    path.write_text("".join(f"{name} {CLASSES.index(label) + 1}\n" for name, label in truth.items()))
    return truth


def write_rafdb_folders(root: Path, *, reverse: bool = False, home: str = "rafdb/DATASET") -> dict[str, str]:
    """The version in folders; returns {path below it: label}."""
    truth = {
        f"{name.split('_')[0]}/{CLASSES.index(label) + 1}/{aligned(name)}": label
        for name, label in rafdb_labels().items()
    }
    save(root / home, truth, reverse=reverse)
    (root / home / "train_labels.csv").write_text("image,label\n")
    return truth
