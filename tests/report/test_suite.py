"""The page of a suite: it says what the suite's Markdown says, and needs nothing but itself."""

import base64
from dataclasses import replace
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from ciao_stream.benchmark.suites.report import report
from ciao_stream.report.html import pictures
from ciao_stream.report.html.suite import Findings, suite_page
from ciao_stream.report.table import Cell, Table
from tests.helpers import browser as browsers
from tests.helpers import pages

BAD = "<img src=x onerror=alert(1)>\"'&|*_"
GAPS = ("–", "n/a", "–‡", "")
SHOWN = ("9.5 ±1.0", "61.8 ±0.9‡", "100.0", "-3.0", *GAPS)


def column(texts, **looks):
    return [Cell(text, **looks) for text in texts]


def sortable(title="results"):
    names = [f"strategy {i}" for i in range(len(SHOWN))]
    counts = ["999", "1.2k", "596k, 1.2M", "4,321", *GAPS]
    cells = [column(names), column(SHOWN), column(counts), column(["2x2 max pool", *"bcdefgh"])]
    rows = [list(row) for row in zip(*cells, strict=True)]
    rows[1][1] = Cell(SHOWN[1], best=True)
    headings = (("strategy",), ("fer", "accuracy %", "synthetic"), ("parameters", "trained"), ("head",))
    return Table(title, ("a note",), headings, tuple(map(tuple, rows)), ("‡ marked",))


def findings(**changed):
    beneath = Table(
        BAD, (), (("trained on",), (BAD,)),
        ((Cell("rafdb"), Cell("88.7°")), (Cell("  CAFE, published", published=True), Cell("73.2", published=True))), (),
    )  # fmt: skip
    made = Findings(
        suite="paper",
        title="Evidence",
        mark="synthetic data",
        notes=["said of all"],
        tables=[sortable(), beneath],
        document={
            "command": ["ciao_stream.benchmark", "--suite", "paper", "--encoder", BAD],
            "environment": {"platform": BAD, "packages": {"torch": "2.15.0"}},
            "encoder": {"a": {"name": "a", "weights": BAD}, "b": {"name": "b"}},
            "settings": {"epochs": 3},
        },
        pictures={"figure_4.png": f"bars {BAD}"},
        runs={"a #1: b/report.html": f"the first {BAD}"},
    )
    return replace(made, **changed)


@pytest.fixture
def folder(tmp_path):
    """What a suite left, with the page of one run."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 60, 3), dtype=np.uint8))
    image.save(tmp_path / "figure_4.png")
    (tmp_path / "a #1: b").mkdir()
    (tmp_path / "a #1: b" / "report.html").write_text("<!doctype html><title>the run</title>")
    report(findings(), tmp_path)
    return tmp_path


@pytest.fixture
def html(folder):
    return (folder / "paper.html").read_text()


def test_the_page_says_what_the_markdown_says(folder, html, capsys):
    text = (folder / "paper.md").read_text()
    assert pages.check_tables(html, text) == len(SHOWN) * 4 + 4
    for old, new in ((">61.8 <", ">61.9 <"), ('class="best"', 'class=""'), ("a note", "another"), ("73.2", "73.1")):
        with pytest.raises(AssertionError):
            pages.check_tables(html.replace(old, new), text)
    report(findings(), folder)
    out = capsys.readouterr().out
    assert str(folder / "paper.html") in out
    assert "said of all" in out


def test_rows_that_belong_together_are_not_sorted_apart(html):
    tables = pages.read_page(html).find("table")
    assert ["sort" in table.classes for table in tables[:2]] == [True, False]


def test_what_others_wrote_is_text(html):
    assert "<img src=x" not in html
    page = pages.read_page(html)
    assert page.find("section", id="repeat")[0].text.count(BAD) == 2
    assert BAD in page.find("section", id="runs")[0].text
    assert page.find("img")[0].attributes["alt"] == f"bars {BAD} (synthetic data)"


def test_the_page_holds_its_pictures(folder, html, monkeypatch):
    (image,) = pages.read_page(html).find("img")
    assert base64.b64decode(image.attributes["src"].partition("base64,")[2]) == (folder / "figure_4.png").read_bytes()
    monkeypatch.setattr(pictures, "BUDGET", 100)
    page = pages.read_page(suite_page(findings(), folder))
    assert not page.find("img")
    assert "too large for this page; see the file next to this page." in page.find("section", id="pictures")[0].text


def test_the_page_loads_nothing_and_links_to_what_lies_below(folder, html):
    page = pages.read_page(html)
    pages.check_loads_nothing(html)
    ids = {element.attributes.get("id") for element in page.walk()}
    links = [link.attributes["href"] for link in page.find("a")]
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    (run,) = [link for link in links if not link.startswith("#")]
    assert ":" not in run
    assert (folder / unquote(run)).is_file()


def test_synthetic_data_is_marked_wherever_it_is_shown(folder, html):
    page = pages.read_page(html)
    assert page.find("title")[0].text == "Evidence (synthetic data)"
    assert page.find("p", class_="synthetic")[0].text.startswith("Synthetic data.")
    assert [mark.text for mark in page.find("small", class_="mark")] == ["synthetic"]
    assert page.find("figcaption")[0].text.endswith("(synthetic data)")
    tables = [replace(sortable(), headings=(("a",), ("b",), ("c",), ("d",)))]
    real = pages.read_page(suite_page(findings(mark="", tables=tables), folder))
    assert "synthetic" not in real.find("body")[0].text.lower()


def test_the_encoders_of_all_runs_are_told(folder, html):
    told = {(pair.find("dt")[0].text, pair.find("dd")[0].text) for pair in pages.read_page(html).find("div")
            if pair.parent.classes == ["pairs"]}  # fmt: skip
    assert {("a.name", "a"), ("a.weights", BAD), ("b.name", "b"), ("epochs", "3")} <= told
    one = pages.read_page(suite_page(findings(runs={}, pictures={}), folder))
    assert [section.attributes["id"] for section in one.find("section")] == ["tables", "repeat"]


def test_in_a_browser_it_fits_sorts_by_numbers_and_leads_to_its_runs(browser, folder):
    moved = folder.rename(folder.with_name("moved elsewhere"))
    for width in (390, 1200):
        with browsers.opened(browser, moved / "paper.html", width) as page:
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.evaluate("document.images[0].naturalWidth") == 60
            for place, expected in ((1, [SHOWN[i] for i in (2, 1, 0, 3)]), (2, ["596k, 1.2M", "4,321", "1.2k", "999"])):
                page.locator("table.sort thead th button").nth(place).click()
                cells = page.locator(f"table.sort tbody tr > :nth-child({place + 1})").all_text_contents()
                assert cells == [*expected, *GAPS]
            page.locator("table.sort thead th button").nth(3).click()
            assert page.locator("table.sort tbody td:last-child").first.text_content() == "h"
            page.get_by_role("link", name="the first").click()
            assert page.title() == "the run"
