"""``benchmark --suite paper``: the numbers behind its tables, and a run of it on synthetic worlds."""

import math
import signal
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from scipy.stats import ttest_rel

from ciao_stream.benchmark import __main__ as benchmark
from ciao_stream.benchmark.suites import SCHEMES, SUITES
from ciao_stream.benchmark.suites.paper.evidence import comparisons, metrics_of, results
from ciao_stream.benchmark.suites.paper.run import findings
from ciao_stream.benchmark.suites.paper.tables import TABLE_I, TABLE_II, table_i, table_ii, trained_parameters
from ciao_stream.encoders import SHIPPED
from ciao_stream.faces.task import EMOTIONS, TaskSpec
from ciao_stream.report.rows import RunRow
from ciao_stream.worlds.settings import Settings
from tests.helpers import documents, pages, sequences
from tests.helpers.sequences import in_child

FER = TaskSpec("fer", "categorical", EMOTIONS[:7])
VA = TaskSpec("affectnet-va", "dimensional", ("arousal", "valence"))


def made_up(encoder, values, source="synthetic", specs=(FER,)):
    """A document with these values, {strategy: one per seed}, of twelve training faces."""
    rows = [
        RunRow(strategy, spec.name, seed, "test", 100, _metrics(spec, value), spec.primary,
               {"trained_parameters": 1000 * (i + 1), "encode_seconds": 0.0, "train_seconds": 2.0})
        for spec in specs
        for i, (strategy, by_seed) in enumerate(values.items())
        for seed, value in enumerate(by_seed)
    ]  # fmt: skip
    return {
        "encoder": {"name": encoder, "weights": "test fixture"},
        "tasks": [documents.task_entry(spec, source) for spec in specs],
        "settings": {"tasks": {spec.name: Settings(epochs=3, batch_size=5).to_json() for spec in specs}},
        "runs": [row.to_json() for row in rows],
    }


def _metrics(spec, value):
    if spec.kind == "dimensional":
        return {"ccc": value, "ccc_arousal": value + 0.1, "ccc_valence": value - 0.1}
    return {"accuracy": value}


VALUES = {"dl": (0.50, 0.52, 0.51), "dl+ciao": (0.55, 0.56, 0.58), "full": (0.7,) * 3, "full+ciao": (0.7,) * 3}


def test_differences_are_paired_by_seed_and_tested():
    dl, full = (one for one in comparisons([made_up("pk", VALUES)]) if one.scheme in ("full", "dl"))
    dl, full = (dl, full) if dl.scheme == "dl" else (full, dl)
    expected = ttest_rel(VALUES["dl+ciao"], VALUES["dl"]).pvalue
    assert dl.p == pytest.approx(expected)
    assert dl.adjusted == pytest.approx(expected), "the only one that can be tested"
    assert dl.difference[0] == pytest.approx(np.mean([0.05, 0.04, 0.07]))
    assert math.isnan(full.p)
    assert full.difference == (0.0, 0.0)


def test_a_seed_that_only_one_side_has_is_no_pair():
    values = {"dl": (0.5, 0.6), "dl+ciao": (0.6, 0.7, 0.1)}
    (one,) = comparisons([made_up("pk", values)])
    assert one.difference == (pytest.approx(0.1), 0.0)


def test_many_comparisons_are_adjusted_together():
    rng = np.random.default_rng(0)
    encoders = [f"e{i}" for i in range(6)]
    made = [made_up(name, {"dl": rng.random(4), "dl+ciao": rng.random(4)}) for name in encoders]
    found = comparisons(made)
    p = np.array([one.p for one in found])
    order = p.argsort()
    slow = np.minimum.accumulate((p[order] * 6 / np.arange(1, 7))[::-1])[::-1]
    assert np.allclose([found[i].adjusted for i in order], slow)


def test_cost_is_counted_in_steps_seconds_and_parameters():
    found = results(made_up("pk", VALUES))
    one = found["dl+ciao", "fer", "accuracy"]
    assert (one.updates, one.seconds, one.parameters) == (9, 2.0, 2000)  # 3 epochs of 3 batches
    counts = trained_parameters(comparisons([made_up("pk", VALUES)]))
    assert counts == {("pk", "full", False): 3000, ("pk", "full", True): 4000,
                      ("pk", "dl", False): 1000, ("pk", "dl", True): 2000}  # fmt: skip


def test_arousal_and_valence_stand_apart():
    document = made_up("pk", VALUES, specs=(VA,))
    assert metrics_of(document["tasks"][0]) == ("ccc_arousal", "ccc_valence")
    means = {one.metric: one.without.mean for one in comparisons([document]) if one.scheme == "dl"}
    assert means == {"ccc_arousal": pytest.approx(0.61), "ccc_valence": pytest.approx(0.41)}


def test_table_i_has_the_papers_numbers_next_to_ours_and_says_synthetic():
    document = made_up("pk", {**VALUES, "logreg": (0.6,) * 3, "majority": (0.2,) * 3})
    table = table_i(document["tasks"][0], [document], comparisons([document]), "accuracy")
    assert table.title == "Table I, fer, synthetic (accuracy)"
    heads = [" ".join(heading) for heading in table.headings]
    full, dl, majority, logreg = (dict(zip(heads, row, strict=True)) for row in table.rows)
    assert (dl["model"].text, dl["training"].text) == ("pk (PK)", "dl")
    assert (dl["-"].text, dl["CIAO"].text, dl["difference"].text) == ("51.0 ±2.5", "56.3 ±3.8", "+5.3 ±3.8")
    assert (dl["-"].best, dl["CIAO"].best, full["-"].best, full["CIAO"].best) == (False, True, False, False)
    assert [(dl[name].text, dl[name].published) for name in ("paper -", "paper CIAO")] == [
        ("28.2", True),
        ("70.2", True),
    ]
    assert (full["p adjusted"].text, full["difference"].text) == ("–", "0")
    assert (majority["model"].text, logreg["model"].text, logreg["-"].text) == ("", "pk", "60.0")
    real = made_up("resnet18", VALUES, source="real")
    table = table_i(real["tasks"][0], [real], comparisons([real]), "accuracy")
    assert "synthetic" not in table.title
    assert {row[heads.index("paper CIAO")].text for row in table.rows} == {"–"}


def test_table_i_says_what_was_judged_and_on_how_many_labels():
    found = made_up("pk", VALUES)
    found["settings"] |= {"labels": 0.05}
    found["tasks"][0]["samples"] = {"train": 1000}
    table = table_i(found["tasks"][0], [found], comparisons([found]), "accuracy")
    assert table.notes[0].startswith("trained on 5 % of the labels; test split, ")
    assert table.rows[0][9].text == "30", "updates: 3 epochs of 50 faces in batches of 5"


def test_table_ii_takes_the_best_encoder():
    weak = made_up("weak", {name: np.subtract(value, 0.1) for name, value in VALUES.items()}, source="real")
    rows = table_ii(weak["tasks"], [weak, made_up("strong", VALUES, source="real")]).rows
    by_model = {row[2].text: row[3] for row in rows}
    assert by_model["ours, strong, dl+ciao"].text == "56.3 ±3.8"
    assert by_model["ours, strong, full+ciao"].best
    assert (by_model["ResMaskNet"].text, by_model["ResMaskNet"].published) == ("76.8", True)


def test_two_trainings_of_one_architecture_are_named_by_their_folders():
    better = {name: np.add(value, 0.1) for name, value in VALUES.items()}
    found = findings({"mine": made_up("pk", VALUES), "yours": made_up("pk", better), "vgg": made_up("vgg", VALUES)})
    table_one, table_two = found.tables
    models = [row[0].text for row in table_one.rows]
    assert models == [name for name in ("mine", "yours", "vgg") for _ in ("full", "dl")]
    assert any(row[2].text == "ours, yours, dl+ciao (synthetic)" for row in table_two.rows)


def test_what_the_paper_printed():
    """Spot checks, and that its text agrees: with CIAO better everywhere but in one row that it printed so."""
    assert TABLE_I["fer", "accuracy"]["PK"][SCHEMES.index("dl")] == (28.2, 70.2)
    assert TABLE_I["ferplus", "accuracy"]["VGG"][SCHEMES.index("full")] == (91.7, 94.5)
    worse = [(key, model) for key, rows in TABLE_I.items() for model, pairs in rows.items() for a, b in pairs if b < a]
    assert worse == [(("jaffe", "accuracy"), "PK")]
    assert TABLE_I.keys() == TABLE_II.keys()


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A suite over two encoders; what it asks and its folder."""
    folder = tmp_path_factory.mktemp("suite")
    argv = [
        "--suite", "paper", "--tasks", "fer,affectnet-va", "--encoder", "random:ciao-face,torchvision:squeezenet1_1",
    ]  # fmt: skip
    argv += ["--seeds", "2", "--epochs", "1", "--synthetic-size", "16", "--device", "cpu"]
    argv += ["--out", str(folder / "out"), "--cache", str(folder / "cache")]
    code, printed = in_child(benchmark.main, argv)
    assert code == 0, printed
    return argv, folder / "out", printed


def test_a_suite_leaves_tables_and_figure_and_each_encoders_results(ran):
    _, out, printed = ran
    text = (out / "paper.md").read_text()
    assert text.startswith("# Evidence of CIAO (synthetic data)")
    for title in ("Table I, fer, synthetic", "CCC of arousal", "CCC of valence", "# Table II", "random, seed 0"):
        assert title in text
    assert imread(out / "figure_4.png").std() > 0
    assert "Table II" in printed
    html = (out / "paper.html").read_text()
    page = pages.read_page(html)
    assert pages.check_tables(html, text) > 100
    assert len(page.find("img")) == 1
    links = [link.attributes["href"] for link in page.find("section", id="runs")[0].find("a")]
    assert links == ["random-ciao-face/report.html", "torchvision-squeezenet1_1/report.html"]
    assert all((out / link).is_file() for link in links)
    told = {pair.text for pair in page.find("section", id="repeat")[0].find("dt")}
    assert {f"{Path(link).parent}.fingerprint" for link in links} <= told
    assert "mask.parameters" not in told, "each encoder has its own"
    first, second = (
        {run["strategy"] for run in sequences.document(out / name)["runs"]}
        for name in ("random-ciao-face", "torchvision-squeezenet1_1")
    )
    assert first == {*SUITES["paper"].strategies}
    assert second == {*SUITES["paper"].strategies} - {"majority", "hog"}, "what needs no encoder is run once"


def test_a_suite_resumes_where_it_stopped(ran):
    argv, out, _ = ran
    before = {path: path.stat().st_mtime_ns for path in out.rglob("cells/**/*.*")}
    (out / "paper.md").unlink()
    code, printed = in_child(benchmark.main, [*argv, "--resume"])
    assert code == 0, printed
    assert {path: path.stat().st_mtime_ns for path in out.rglob("cells/**/*.*")} == before
    assert (out / "paper.md").exists()


def test_a_suite_that_was_killed_three_times_ends_as_one_that_was_not(ran, tmp_path):
    """In a cell of the first encoder, between two cells, and in a cell of the second encoder."""
    argv, whole, _ = ran
    strategies = ("dl", "dl+ciao", "ncm")
    argv = [*argv, "--out", str(tmp_path / "out"), "--strategies", ",".join(strategies)]
    kills = (
        ("ciao_stream.worlds.training:WorldLearner.step", 3, "after"),
        ("strategies.base.sequence:Outcome.save", 4, "after"),
        ("ciao_stream.worlds.world:World.save", 7, "before"),
    )
    for i, (place, nth, when) in enumerate(kills):
        code, printed = in_child(sequences.killed, [*argv, *["--resume"] * (i > 0)], place, nth, when)
        assert code == -signal.SIGKILL, printed
    second = tmp_path / "out" / "torchvision-squeezenet1_1"
    assert [*second.rglob("world.json")], "it was killed there last"
    assert not (second / "results.json").exists()
    code, printed = in_child(benchmark.main, [*argv, "--resume"])
    assert code == 0, printed
    for encoder in ("random-ciao-face", "torchvision-squeezenet1_1"):
        expected, found = (sequences.numbers(out / encoder) for out in (whole, tmp_path / "out"))
        chosen = {key: value for key, value in expected["runs"].items() if key[0] in strategies}
        assert found["runs"] == chosen
        assert len(chosen) == 10, "two seeds of two tasks, of which ncm can do one"


@pytest.mark.parametrize(
    ("encoders", "message"),
    [
        (",", "no encoder given"),
        (f"ciao-face,{SHIPPED / 'ciao-face'}", "would share a results folder"),
        ("kp", "unknown"),
    ],
)
def test_bad_encoders_are_one_line(encoders, message, tmp_path, capsys):
    argv = ["--suite", "paper", "--tasks", "fer", "--encoder", encoders, "--out", str(tmp_path / "out")]
    assert benchmark.main(argv) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
