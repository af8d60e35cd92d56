"""Shows the document of a check on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import rich.table

Entry = Mapping[str, Any]

HEADINGS = (
    "task",
    "split",
    "samples",
    "published",
    "unreadable",
    "duplicates\nin split",
    "found in other\nsplits, tasks",
    "dropped",
)


def to_rich(document: Entry) -> rich.table.Table:
    """Return a table with one row per split of each task."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for position, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if position > 1 else "left", overflow="fold", no_wrap=position == 1)
    for task in document["tasks"]:
        for row in _rows(task):
            table.add_row(*(Text(printable(text)) for text in row))
    return table


def facts(document: Entry) -> Iterator[str]:
    """Yield two lines about each task: its images and splits, and the number of samples of each label."""
    for task in document["tasks"]:
        splits = task["splits"]
        rules = list(dict.fromkeys(split["label_rule"] for split in splits))
        folds = " (its first fold is counted)" if task["folds"] else ""
        parts = [task["spec"]["kind"], f"{task['protocol']}{folds}", f"labels {' / '.join(rules)}"]
        if task["width"]:
            sides = [
                " to ".join(f"{n:,}" for n in dict.fromkeys([s[0], s[2]])) for s in (task["width"], task["height"])
            ]
            median = (
                f", median {task['width'][1]:,}x{task['height'][1]:,}" if any(" to " in side for side in sides) else ""
            )
            parts.append(f"{' x '.join(sides)} pixels{median}, {100 * task['colour_share']:.0f} % in colour")
        yield printable(f"{task['name']}: {'; '.join(parts)}")
        counts = []
        for label in splits[0]["counts"]:
            counts.append(f"{label} {' / '.join(format(split['counts'].get(label, 0), ',') for split in splits)}")
        yield printable(f"  train / validation / test: {', '.join(counts)}")


def findings(document: Entry) -> Iterator[str]:
    """Yield one line per finding, errors first."""
    for finding in document["findings"]:
        yield printable(f"{'WRONG' if finding['level'] == 'wrong' else 'note '}  {finding['about']}: {finding['text']}")


def summary(document: Entry) -> str:
    """Return the last line of the report."""
    wrong = sum(finding["level"] == "wrong" for finding in document["findings"])
    verdict = f"{wrong:,} thing{'s' if wrong != 1 else ''} wrong" if wrong else "nothing wrong"
    missing = [entry["task"] for entry in document["not_found"]]
    not_found = f"; not found: {', '.join(missing)}" if missing else ""
    rate = f"{document['images']:,} images, {document['images_per_second']:,.0f} decoded per second"
    return printable(f"{verdict}; {rate}{not_found}")


def printable(text: str) -> str:
    """Escape control characters and invalid UTF-8, which file names may contain."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _rows(task: Entry) -> Iterator[list[str]]:
    for split in task["splits"]:
        samples = f"{split['samples']:,}"
        if split["samples"] != split["images"]:
            samples += f" of {split['images']:,} images"
        yield [
            task["name"] if split is task["splits"][0] else "",
            split["split"],
            samples,
            _published(task, split["split"]),
            *(f"{split[key]:,}" for key in ("unreadable", "duplicates_within", "found_elsewhere")),
            f"{sum(split['left_out'].values()):,}",
        ]


def _published(task: Entry, split: str) -> str:
    """Return the published number of samples; a number for several splits is shown next to the first of them."""
    shown = []
    for key, value in task["published"].items():
        splits = key.split("+")
        if split == min(splits, key=["train", "validation", "test"].index):
            total = (
                sum(value.values()) if isinstance(value, Mapping) and task["spec"]["kind"] != "multilabel" else value
            )
            if not isinstance(total, Mapping):
                shown.append(f"{total:,}{f' ({key})' if len(splits) > 1 else ''}")
    return ", ".join(shown) or "–"
