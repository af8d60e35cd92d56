"""A page as a program reads it: its elements with their text, and its numbers with where they are from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import numpy as np
from scipy.stats import t as student_t

EMPTY = {"meta", "link", "img", "br", "hr", "input", "col"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    def walk(self) -> Iterator[Element]:
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def find(self, tag: str, **attributes: str) -> list[Element]:
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [e for e in self.walk() if e.tag == tag and wanted.items() <= e.attributes.items()]

    def nearest(self, name: str) -> str | None:
        return self.attributes.get(name) or (self.parent.nearest(name) if self.parent else None)


class Reader(HTMLParser):
    """Builds the tree; an element that is closed out of turn is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.root = self.here = Element("#root", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs}, self.here)
        self.here.children.append(made)
        if tag not in EMPTY:
            self.here = made

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.here.children.append(Element(tag, {name: value or "" for name, value in attrs}, self.here))

    def handle_endtag(self, tag: str) -> None:
        assert self.here.tag == tag, f"</{tag}> closes <{self.here.tag}>"
        assert self.here.parent is not None
        self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        self.here.children.append(data)


def read_page(html: str) -> Element:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.here is reader.root, f"<{reader.here.tag}> is never closed"
    return reader.root


def pointed(document: Any, pointer: str) -> Any:
    """What a JSON Pointer (RFC 6901) leads to; a metric that a run has not is None."""
    value = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        value = value[int(name)] if isinstance(value, list) else value.get(name)
    return value


def expected(document: Any, element: Element, at: str) -> tuple[list[str], Any]:
    """Where a number says that it is from, and what it then must be, worked out anew."""
    how = element.nearest("data-how") or "same"
    if at.startswith("/"):
        pointers, how = [at], "same"
    else:
        pointers = [f"{base}/{at}" for base in (element.nearest("data-base") or "").split()]
    values = [pointed(document, pointer) for pointer in pointers]
    if how == "same":
        assert len(values) == 1, pointers
        return pointers, values[0]
    if how == "pooled":
        n = [pointed(document, f"{base}/n/{at.split('/')[1]}") for base in (element.nearest("data-base") or "").split()]
        return pointers, sum(k * v for k, v in zip(n, values, strict=True) if k) / sum(n)
    if how == "gap":
        a, b, c = values
        return pointers, (a - b) / (c - b)
    if any(value is None for value in values):
        return pointers, None
    if how == "interval":
        return pointers, student_t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return pointers, {"mean": np.mean, "sum": np.sum, "max": np.max}[how](values, axis=0)


def check_loads_nothing(html: str) -> None:
    """The page holds all that it shows, and forbids all else."""
    page = read_page(html)
    assert not page.find("link") + page.find("iframe")
    assert all("src" not in script.attributes for script in page.find("script"))
    policy = page.find("meta", **{"http-equiv": "Content-Security-Policy"})[0].attributes["content"]
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"https?://(?!www\.w3\.org)", html)


def check_numbers(html: str, document: Any) -> set[str]:
    """Compare every number of a page with the document, and what is read with what is meant; return the pointers."""
    seen: set[str] = set()
    for element in read_page(html).walk():
        at = element.attributes.get("data-at")
        if at is None:
            continue
        name = "data-values" if "data-values" in element.attributes else "data-value"
        found = json.loads(element.attributes[name])
        pointers, wanted = expected(document, element, at)
        seen.update(pointers)
        where = f"{at} of {pointers[:2]}"
        if wanted is None or found is None:
            assert found is wanted, where
        else:
            np.testing.assert_allclose(np.array(found, dtype=float), np.array(wanted, dtype=float),
                                       rtol=1e-12, atol=1e-12, err_msg=where)  # fmt: skip
        if name == "data-value" and found is not None and "conf" not in table_of(element):
            check_text(element.text.strip(), found, where)
    return seen


def table_of(element: Element) -> list[str]:
    """The classes of the table that an element stands in."""
    while element.parent is not None and element.tag != "table":
        element = element.parent
    return element.classes


def check_text(text: str, value: float, where: str) -> None:
    """What is read is the value, or a hundred times it, rounded to the digits that are shown."""
    match = re.fullmatch(r"±?([−-]?[\d,]*\.?\d+)([kMGT]?)", text)
    if text == "":  # a mark of a drawing
        return
    assert match, f"{where}: {text!r} is no number"
    digits = match[1].replace(",", "").replace("−", "-")
    scale = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[match[2]]
    half = 0.5 * scale * 10 ** -len(digits.partition(".")[2])
    read = float(digits) * scale
    assert any(abs(read - factor * value) <= half * (1 + 1e-9) for factor in (1, 100)), f"{where}: {text} for {value}"


def check_tables(html: str, markdown: str) -> int:
    """Compare a suite's page with its Markdown: titles, notes, headings, every cell and its look; return how many."""
    section = read_page(html).find("section", id="tables")[0]
    _, *titles = (plain(line[2:]) for line in markdown.splitlines() if line.startswith("# "))
    assert [heading.text for heading in section.find("h3")] == titles
    notes = {plain(line[2:]) for line in markdown.splitlines() if line.startswith("- ")}
    assert {item.text for item in section.find("li")} == notes
    grids = re.findall(r"(?:^\|.*\n)+", markdown, flags=re.M)
    compared = 0
    for table, grid in zip(section.find("table"), grids, strict=True):
        heads, _, *rows = (line[2:-2].split(" | ") for line in grid.splitlines())
        shown = table.find("th", scope="col")
        assert [[*map(plain, head.split("<br>"))] for head in heads] == [[*map(read, th.children)] for th in shown]
        for row, tr in zip(rows, table.find("tbody")[0].find("tr"), strict=True):
            cells = [cell for cell in tr.walk() if cell.tag in ("th", "td")]
            assert [*map(with_look, row)] == [
                (cell.text, "best" in cell.classes, "published" in cell.classes) for cell in cells
            ]
            compared += len(row)
    return compared


def plain(text: str) -> str:
    """Markdown without its escapes."""
    return re.sub(r"\\(.)", r"\1", text)


def read(child: Element | str) -> str:
    return child if isinstance(child, str) else child.text


def with_look(cell: str) -> tuple[str, bool, bool]:
    """What a cell of Markdown says, whether it is bold, and whether in italics."""
    stars = len(cell) - len(cell.lstrip("*"))
    return plain(cell[stars : len(cell) - stars]), stars == 2, stars == 1
