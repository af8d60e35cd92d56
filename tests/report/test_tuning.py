"""The page of a search: its numbers are those of its files, and what mattered is found."""

import json
import math

import numpy as np
import pytest

from ciao_stream.exceptions import CiaoError
from ciao_stream.report.__main__ import main
from ciao_stream.report.html.importance import LEAST, importance
from ciao_stream.report.html.tuning import write_tuning_report
from tests.helpers import browser as browsers
from tests.helpers import pages


def config(rng):
    drawn = {"lr": float(10 ** rng.uniform(-4, -1)), "head.pool": str(rng.choice(["max2", "mean"])),
             "head.hidden": [64] * int(rng.integers(0, 3)), "schedule": "cosine"}  # fmt: skip
    return drawn | ({"head.dropout": float(rng.uniform(0, 0.75))} if drawn["head.hidden"] else {})


def made_up_search(folder, trials=40, source="synthetic"):
    """A test fixture: a search of invented scores, which the learning rate decides, the same at every call."""
    rng = np.random.default_rng(3)
    rows = []
    for number in range(trials):
        chosen = config(rng)
        score = 0.7 - 0.05 * abs(math.log10(chosen["lr"]) + 2.5) + 0.002 * rng.normal()
        status = "failed" if number % 13 == 5 else "stopped" if number % 5 == 4 else "finished"
        rows.append({
            "task": "fer", "number": number, "status": status, "config": chosen, "point": {}, "settings": chosen,
            "score": None if status == "failed" else score, "values": [score, score], "curve": [score],
            "seconds": {"total": 1.5 + number}, "worker": "a:1", "ended": 1.0,
            "error": "out <of> memory" if status == "failed" else None, "at_fault": False,
        })  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "trials.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    best = max((row for row in rows if row["status"] == "finished"), key=lambda row: row["score"])
    tuned = {
        "format": "ciao_stream/tuned/1", "command": ["ciao_stream.tune", "--tasks", "fer", "--trials", str(trials)],
        "versions": {"torch": "2.15.0"}, "encoder": {"name": "ciao-face", "fingerprint": "ab" * 32, "weights": "w"},
        "scheme": "dl+ciao", "search": "tpe", "seed": 0, "space": "space.toml", "space_sha256": "cd" * 32,
        "tasks": {
            "fer": {
                "settings": best["settings"], "config": best["config"], "trial": best["number"], "source": source,
                "score": {"metric": "accuracy", "mean": best["score"], "std": 0.0123, "values": [0.6, 0.7]},
                "trials": {s: sum(r["status"] == s for r in rows) for s in ("finished", "stopped", "failed")},
            }
        },
    }  # fmt: skip
    (folder / "tuned.json").write_text(json.dumps(tuned))
    return {"tuned": tuned, "trials": rows}


def test_every_number_of_the_page_is_that_of_the_search(tmp_path):
    document = made_up_search(tmp_path)
    html = write_tuning_report(tmp_path).read_text()
    seen = pages.check_numbers(html, document)
    scores = {f"/trials/{i}/score" for i, row in enumerate(document["trials"])}
    found = {f"/tuned/tasks/fer/{path}" for path in ("score/mean", "score/std", "trial", "trials/finished")}
    assert (scores | found) - seen == set()
    page = pages.read_page(html)
    drawn = [e for e in page.find("circle") if "t" in e.classes]
    assert len(drawn) == sum(row["score"] is not None for row in document["trials"])
    assert sum("stopped" in e.classes for e in drawn) == document["tuned"]["tasks"]["fer"]["trials"]["stopped"]
    lines = [e for e in page.find("polyline") if "q" in e.classes]
    assert len(lines) == len(drawn)
    assert sum("top" in e.classes for e in lines) == 1
    assert "Synthetic data" in page.text
    assert "object at 0x" not in page.text
    assert "out <of> memory" in page.text
    assert "python -m ciao_stream.tune --tasks fer --trials 40" in page.text


def test_the_setting_that_decides_is_the_most_important(tmp_path):
    made_up_search(tmp_path)
    page = pages.read_page(write_tuning_report(tmp_path).read_text())
    table = next(table for table in page.find("table") if "bars" in table.classes)
    rows = {row.find("th")[0].text: float(row.find("td")[0].attributes["data-value"])
            for row in table.find("tbody")[0].find("tr")}  # fmt: skip
    assert [*rows] == sorted(rows, key=lambda name: -rows[name])
    assert next(iter(rows)) == "lr"
    assert rows["lr"] > 5 * rows["head.pool"]
    assert {*rows} == {"lr", "head.pool", "head.hidden", "head.dropout"}  # and not what never differs


def test_scores_that_follow_nothing_are_not_trusted():
    rng = np.random.default_rng(1)
    found = importance([config(rng) for _ in range(40)], rng.normal(size=40).tolist())
    assert found.explained < 0.1
    assert importance([config(rng) for _ in range(LEAST - 1)], rng.normal(size=LEAST - 1).tolist()) is None


def test_a_search_that_is_still_on_has_a_page(tmp_path):
    made_up_search(tmp_path, trials=4)
    (tmp_path / "tuned.json").unlink()
    with (tmp_path / "trials.jsonl").open("a") as file:
        file.write('{"task": "fe')
    assert main([str(tmp_path)]) == 0
    text = pages.read_page((tmp_path / "report.html").read_text()).text
    assert "Four trials ended; none has finished yet." in text
    assert "Importance needs at least" in text
    (tmp_path / "trials.jsonl").write_text("{}\n")
    with pytest.raises(CiaoError, match="damaged"):
        write_tuning_report(tmp_path)


def test_the_page_of_a_search_opens_without_errors_and_fits(browser, tmp_path):
    made_up_search(tmp_path)
    for width in (390, 1200):
        with browsers.opened(browser, write_tuning_report(tmp_path), width) as page:
            assert page.evaluate("document.documentElement.scrollWidth") == width
