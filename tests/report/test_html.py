"""``report.html``: one page that holds what a run found, and says nothing that ``results.json`` does not."""

import base64
import copy
import io
import itertools
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from ciao_stream import __main__ as cli
from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.exceptions import CiaoError
from ciao_stream.report.__main__ import main, write_again
from ciao_stream.report.embed import EXPLAIN, FORMAT
from ciao_stream.report.html import pictures
from ciao_stream.report.html.page import benchmark_page
from ciao_stream.report.results import write_results
from tests.helpers import browser as browsers
from tests.helpers import documents, pages, sequences

TASKS = ("affectnet", "affectnet-va", "ferplus", "emoreact")
STRATEGIES = ("dl", "dl+ciao", "naive", "majority")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A benchmark of all four kinds of task, two seeds; its folder."""
    folder = tmp_path_factory.mktemp("html")
    more = ("--seeds", "2", "--cache", str(folder / "cache"))
    argv = sequences.arguments(folder / "run", ",".join(TASKS), ",".join(STRATEGIES), *more, epochs=2)
    code, printed = sequences.in_child(benchmark.main, argv)
    assert code == 0, printed
    return folder / "run"


@pytest.fixture(scope="module")
def html(ran):
    return (ran / "report.html").read_text()


@pytest.fixture(scope="module")
def results(ran):
    return sequences.document(ran)


# Numbers


def test_every_number_of_the_page_is_that_of_the_results(html, results):
    seen = pages.check_numbers(html, results)
    wanted = {f"/summary/{i}/mean" for i in range(len(results["summary"]))}
    for strategy, by_seed in results["matrices"].items():
        places = itertools.product(by_seed, range(len(TASKS) + 1), range(len(TASKS)))
        wanted |= {f"/matrices/{strategy}/{seed}/{i}/{j}" for seed, i, j in places}
    kinds = set()
    for i, run in enumerate(results["runs"]):
        details = run["details"]
        fields = ["seed", "n", "trained_parameters", "encode_seconds", "train_seconds"]
        fields += [f"metrics/{name}" for name in run["metrics"]]
        for name in ("confusion", "decisions"):
            fields += [
                f"details/{name}/{r}/{c}" for r, row in enumerate(details.get(name, [])) for c in range(len(row))
            ]
        fields += [f"details/curve/{term}" for term in details.get("curve", ())]
        fields += ["details/calibration/ece"] if "calibration" in details else []
        wanted |= {f"/runs/{i}/{field}" for field in fields}
        kinds |= {*details}
    assert {"confusion", "decisions", "curve", "calibration"} <= kinds
    assert wanted - seen == set()


def test_a_number_that_is_not_that_of_the_results_is_found(html, results):
    for at in (r"/summary/0/mean", r"/runs/0/metrics/accuracy"):
        value = re.search(rf'data-value="([^"]+)" data-at="{at}"', html)[1]
        forged = html.replace(f'data-value="{value}" data-at="{at}"', f'data-value="0.123" data-at="{at}"')
        with pytest.raises(AssertionError):
            pages.check_numbers(forged, results)
    shown = re.search(r'(data-at="/summary/0/mean">)([\d.]+)<', html)
    forged = html.replace(shown[0], f"{shown[1]}{float(shown[2]) + 0.1:.1f}<")
    with pytest.raises(AssertionError):
        pages.check_numbers(forged, results)


def test_no_cell_of_a_table_holds_a_number_from_nowhere(html):
    stray = []
    for cell in pages.read_page(html).find("td"):
        from_somewhere = any("data-at" in element.attributes for element in cell.walk())
        said = {"total", "hex", "text"} & {*cell.classes}
        if not from_somewhere and not said and re.search(r"\d", cell.text):
            stray.append(cell.text)
    assert stray == []


def test_a_share_of_a_confusion_matrix_is_that_of_its_counts(html):
    tables = [table for table in pages.read_page(html).find("table") if "conf" in table.classes]
    assert tables
    for table in tables:
        for row in table.find("tbody")[0].find("tr"):
            counts = [json.loads(cell.attributes["data-value"]) for cell in row.find("td")[:-1]]
            assert row.find("td")[-1].text == f"{sum(counts):,}"
            shares = [f"{100 * count / sum(counts):.0f}" if sum(counts) else "" for count in counts]
            assert [cell.text for cell in row.find("td")[:-1]] == shares


def test_marks_and_curves_are_drawn_for_every_strategy_that_has_them(html, results):
    page = pages.read_page(html)
    curves = [line for line in page.find("polyline") if line.attributes.get("data-at", "").startswith("details/curve")]
    terms = {(r["strategy"], r["task"], term) for r in results["runs"] for term in r["details"].get("curve", ())}
    assert len(curves) == len(terms) > 0
    points = [g for g in page.find("g") if g.classes == ["points"]]
    with_points = {run["strategy"] for run in results["runs"] if "points" in run["details"]}
    assert len(points) == 2 * len(with_points) > 0
    n = next(run["n"] for run in results["runs"] if "points" in run["details"])
    assert {len(one.find("circle")) for one in points} == {n}
    diagrams = [g for g in page.find("g") if g.attributes.get("data-how") == "pooled"]
    assert len(diagrams) == len({(r["strategy"], r["task"]) for r in results["runs"] if "calibration" in r["details"]})


# What the page says


def test_synthetic_data_is_marked_at_the_top_and_at_every_task(html):
    page = pages.read_page(html)
    assert "(synthetic data)" in page.find("title")[0].text
    assert page.find("p", class_="synthetic")[0].text.startswith("Synthetic data.")
    for heading in (e for e in page.find("h3") if e.parent.classes == ["task"]):
        assert "synthetic" in heading.text
    main = next(table for table in page.find("table") if "main" in table.classes)
    assert all("synthetic" in head.text for head in main.find("th", scope="col")[1:5])
    real = benchmark_page(documents.fake_document(sources=("real", "synthetic", "real", "real")))
    assert "Partly synthetic: fer." in pages.read_page(real).find("p", class_="synthetic")[0].text
    page = pages.read_page(benchmark_page(documents.fake_document(sources=("real",) * 4)))
    assert "synthetic" not in page.find("body")[0].text.lower()


def test_the_page_repeats_the_run(html, results, ran):
    text = pages.read_page(html).find("section", id="repeat")[0].text
    assert f"python -m ciao_stream.benchmark --tasks {','.join(TASKS)}" in text
    for part in (results["environment"]["platform"], results["encoder"]["fingerprint"], "--seeds 2", "--epochs 2"):
        assert part in text
    assert f"--out {ran}" in text
    assert f"torch=={results['environment']['packages']['torch']}" in text


def test_a_run_of_before_reports_renders_and_says_what_was_not_recorded(results):
    old = copy.deepcopy(results)
    old.pop("shared_images", None)
    old["environment"].pop("packages")
    for run in old["runs"]:
        run.pop("details", None)
    page = pages.read_page(html := benchmark_page(old))
    pages.check_numbers(html, old)
    for section, said in {
        "answers": "were not recorded",
        "curves": "No losses were recorded",
        "calibration": "were not recorded",
        "faces": "did not record",
        "explanations": "was not explained",
    }.items():
        assert said in page.find("section", id=section)[0].text, section


def test_what_was_not_run_is_left_empty_with_a_reason(html):
    summary = pages.read_page(html).find("section", id="summary")[0]
    assert "affectnet-va (naive): dimensional targets do not fit a shared class head" in summary.text
    row = next(r for r in summary.find("tr") if r.find("th", scope="row") and r.find("th")[0].text == "naive")
    assert row.find("td")[1].text == "–"
    assert "†" in row.find("td")[len(TASKS)].text


def test_a_suite_of_one_task_and_one_seed_is_drawn_too():
    small = documents.fake_document(seeds=1, specs=documents.SPECS[2:3], strategies=("dl",))
    html = benchmark_page(small)
    pages.check_numbers(html, small)
    assert "±" not in pages.read_page(html).find("table")[0].find("tbody")[0].text


def test_gap_closed_stands_beside_the_cost():
    document = documents.fake_document()
    cost = pages.read_page(html := benchmark_page(document)).find("section", id="cost")[0]
    assert [e for e in cost.walk() if e.attributes.get("data-how") == "gap"]
    pages.check_numbers(html, document)


# Nothing but itself, and nothing that others wrote runs


def test_the_page_loads_nothing_and_allows_nothing(html):
    pages.check_loads_nothing(html)
    assert "object at 0x" not in pages.read_page(html).text


def test_what_others_wrote_is_text():
    document = documents.fake_document(seeds=1)
    bad = "<img src=x onerror=alert(1)>\"'&"
    document["environment"]["platform"] = document["encoder"]["name"] = bad
    document["tasks"][0]["protocol"] = document["not_run"][0]["reason"] = bad
    document["command"].append(bad)
    html = benchmark_page(document)
    assert "<img src=x" not in html
    assert bad in pages.read_page(html).find("section", id="repeat")[0].text


def test_every_table_and_drawing_can_be_read_aloud(html):
    page = pages.read_page(html)
    assert [e.tag for e in page.walk() if re.fullmatch("h1", e.tag)] == ["h1"]
    levels = [int(e.tag[1]) for e in page.walk() if re.fullmatch(r"h\d", e.tag)]
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    for head in page.find("th"):
        assert head.attributes.get("scope") in ("row", "col")
    for table in page.find("table"):
        assert table.find("caption") or table.parent.attributes.get("aria-label")
    for drawing in page.find("svg"):
        assert drawing.attributes.get("aria-label") or drawing.attributes.get("aria-hidden") == "true"
    assert all(image.attributes["alt"] for image in page.find("img"))
    ids = [e.attributes["id"] for e in page.walk() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    assert {link.attributes["href"][1:] for link in page.find("a")} <= {*ids}


# Again


def test_the_command_writes_the_page_anew(ran, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    shutil.copy(ran / "results.json", folder)
    assert main([str(folder)]) == 0
    assert (folder / "report.html").read_bytes() == (ran / "report.html").read_bytes()
    assert f"report: {folder / 'report.html'}" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["ciao-stream", "report", str(tmp_path / "runs")])
    assert cli.main() == 0
    assert write_again(tmp_path / "runs") == [folder / "report.html"]


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "no results.json" in capsys.readouterr().err
    (tmp_path / "results.json").write_text("{}")
    assert main([str(tmp_path)]) == 2
    assert "not a results document" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("confusion", [[1, 2], [3]]),
        ("calibration", {"n": [1]}),
        ("points", {"of": 3, "target": [[0.5]], "answer": [[0.5, 0.5]]}),
        ("curve", [1, 2]),
        ("more", 1),
    ],
)
def test_details_of_another_form_are_refused(results, tmp_path, name, value):
    damaged = copy.deepcopy(results)
    damaged["runs"][0]["details"][name] = value
    with pytest.raises(CiaoError, match=name):
        write_results(damaged, tmp_path)


def explained(folder, width):
    folder.mkdir(parents=True)
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, width, 3), dtype=np.uint8)).save(buffer, "png")
    (folder / "a.png").write_bytes(buffer.getvalue())
    figures = [{"kind": "schemes", "title": "fer (synthetic): schemes <side> by side", "png": "a.png", "pdf": "a.pdf"}]
    (folder / EXPLAIN).write_text(json.dumps({"format": FORMAT, "figures": figures}))


@pytest.mark.parametrize("width", [60, 2 * pictures.WIDEST])
def test_explanations_of_the_run_become_part_of_the_page(results, tmp_path, width):
    explained(tmp_path / "explain", width)
    image = pages.read_page(benchmark_page(results, tmp_path)).find("img")[0].attributes
    assert image["alt"] == "fer (synthetic): schemes <side> by side"
    picture = Image.open(io.BytesIO(base64.b64decode(image["src"].partition("base64,")[2])))
    assert picture.size == (int(image["width"]), int(image["height"]))
    assert picture.width == min(width, pictures.WIDEST)


def test_pictures_beyond_the_budget_are_named(results, tmp_path, monkeypatch):
    explained(tmp_path / "explain", 60)
    monkeypatch.setattr(pictures, "BUDGET", 100)
    page = pages.read_page(benchmark_page(results, tmp_path))
    assert not page.find("img")
    assert "too large for this page" in page.find("section", id="explanations")[0].text


def test_duplicates_and_leaks_are_shown_where_they_were_looked_for(tmp_path):
    real = documents.fake_document(seeds=1, sources=("real",) * 4)
    places = {"one": {"task": "fer", "split": "train"}, "other": {"task": "affectnet", "split": "test"}}
    real["shared_images"] = [{**places, "images": 1234, "leak": True}]
    without = pages.read_page(benchmark_page(real, tmp_path)).find("section", id="faces")[0].text
    assert "not searched for duplicates" in without
    assert "1,234" in without
    overlap = {"of": places["other"], "within": places["one"], "leak": True, "faces": 77, "same_pixels": 5, "pairs": 80}
    check = {
        "format": "ciao_stream/check/1", "command": ["ciao_stream.data", "check", "D"], "images": 35887,
        "verdict": "wrong", "overlaps": [overlap | {"other_label": None}],
        "findings": [{"level": "wrong", "about": "leak", "text": "77 faces of affectnet test stand in fer train"}],
    }  # fmt: skip
    (tmp_path / "check.json").write_text(json.dumps(check))
    html = benchmark_page(real, tmp_path)
    faces = pages.read_page(html).find("section", id="faces")[0].text
    assert "wrong: 77 faces of affectnet test stand in fer train" in faces
    assert "35,887 images" in faces
    pages.check_numbers(html, real)


# In a browser


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1200, "dark")])
def test_the_page_opens_without_errors_and_fits(browser, ran, width, scheme):
    with browsers.opened(browser, ran / "report.html", width) as page:
        page.emulate_media(color_scheme=scheme)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        wide = page.evaluate(
            "[...document.querySelectorAll('main *')].filter((e) => !e.closest('.scroll, svg')"
            " && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 90))"
        )
        assert wide == []
        smallest = "[...document.querySelectorAll('main p, main td, main text')].map((e) => "
        drawn = smallest + "parseFloat(getComputedStyle(e).fontSize) * (e.ownerSVGElement ? e.getScreenCTM().a : 1))"
        assert min(page.evaluate(drawn)) >= 9


def test_tables_sort_by_the_whole_value_and_gaps_come_last(browser, ran):
    with browsers.opened(browser, ran / "report.html") as page:
        table = page.locator("table.main")

        def column():
            return table.locator("tbody tr").evaluate_all(
                "rows => rows.map((row) => row.cells[2].querySelector('[data-value]')?.dataset.value ?? 'null')"
            )

        head = table.locator("thead th").nth(2)
        for order, sign in (("descending", -1), ("ascending", 1)):
            head.locator("button").click()
            assert head.get_attribute("aria-sort") == order
            values = [json.loads(value) for value in column()]
            known = [value for value in values if value is not None]
            assert known == sorted(known, key=lambda value: sign * value)
            assert values == known + [None] * (len(values) - len(known))
            assert 0 < len(known) < len(values)
        table.locator("thead th button").nth(0).press("Enter")
        names = table.locator("tbody th").all_inner_texts()
        assert [name.strip() for name in names] == sorted(STRATEGIES)


def test_the_page_prints_whole(browser, ran):
    with browsers.opened(browser, ran / "report.html") as page:
        page.emulate_media(media="print")
        closed = (
            "[...document.querySelectorAll('details:not([open]) table')].map((t) => t.getBoundingClientRect().height)"
        )
        assert min(page.evaluate(closed)) > 0
        assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
        page.set_viewport_size({"width": 688, "height": 900})  # A4 without its margins
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= 688
        assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.slow
def test_six_tasks_six_strategies_five_seeds_stay_small(browser, tmp_path):
    tasks = "affectnet,affectnet-va,fer,ferplus,emoreact,jaffe"
    argv = sequences.arguments(tmp_path / "run", tasks, "dl,dl+ciao,lc+ciao,naive,joint,logreg", "--seeds", "5")
    code, printed = sequences.in_child(benchmark.main, argv)
    assert code == 0, printed
    html = (tmp_path / "run" / "report.html").read_text()
    assert len(html.encode()) < 5_000_000
    pages.check_numbers(html, sequences.document(tmp_path / "run"))
    with browsers.opened(browser, tmp_path / "run" / "report.html", 390) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 390
