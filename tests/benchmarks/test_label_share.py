"""A share of the labels: which samples it keeps, and that a benchmark learns from those alone."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.protocols.label_share import some_labels
from ciao_stream.benchmark import __main__ as benchmark
from tests.helpers import tiny
from tests.helpers.sequences import arguments, document, in_child


@tiny.examples()
@given(n=st.integers(2, 60), share=st.floats(0.001, 1), seed=st.integers(0, 9), kind=st.sampled_from(list(tiny.SPECS)))
def test_a_share_is_kept_of_every_class(n, share, seed, kind):
    faces = tiny.faces(kind, tiny.pictures(n))
    kept = some_labels(faces, share, seed)
    assert len(np.unique(kept.rows)) == len(kept) >= 2
    place = {row: i for i, row in enumerate(faces.rows)}
    assert np.array_equal(kept.targets, faces.targets[[place[row] for row in kept.rows]])
    if faces.spec.has_classes:
        before, after = (np.bincount(f.classes(), minlength=faces.spec.n_out) for f in (faces, kept))
        expected = np.maximum(np.round(share * before), before > 0)
        if (before > 0).sum() >= 2:
            assert np.array_equal(after, expected)


@tiny.examples()
@given(shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), seed=st.integers(0, 9))
def test_a_larger_share_holds_the_smaller_one(shares, seed):
    faces = tiny.faces("votes", tiny.pictures(50))
    few, many = (set(some_labels(faces, share, seed).rows) for share in sorted(shares))
    assert few <= many


def test_seeds_draw_differently_and_the_same_again():
    faces = tiny.faces("categorical", tiny.pictures(50))
    draws = [tuple(some_labels(faces, 0.3, seed).rows) for seed in (0, 1, 0)]
    assert draws[0] == draws[2] != draws[1]
    assert some_labels(faces, 1, 0) is faces


@pytest.fixture
def run(tmp_path):
    def run(name, *more):
        out = tmp_path / name
        cache = ("--cache", str(tmp_path / "cache"), "--seeds", "1")
        code, printed = in_child(benchmark.main, arguments(out, "fer", "dl", *cache, *more))
        return code, printed, out

    return run


def test_a_benchmark_learns_from_its_share_and_says_so(run):
    code, printed, out = run("few", "--labels", "0.5")
    assert code == 0, printed
    assert "trained on 50 % of the labels" in (out / "table.md").read_text()
    few = document(out)
    assert few["settings"]["labels"] == 0.5
    world = json.loads((out / "cells/dl/seed0/fer/world.json").read_text())
    kept = few["tasks"][0]["counts"]["train"].values()
    assert world["trained_on"]["samples"] == sum(max(round(0.5 * n), n > 0) for n in kept)


def test_a_benchmark_is_judged_on_validation_and_says_so(run):
    code, printed, out = run("judged", "--judge-on", "validation")
    assert code == 0, printed
    assert "Results on the validation splits" in printed
    judged = document(out)
    assert {row["split"] for row in judged["runs"]} == {"validation"}
    assert {row["n"] for row in judged["runs"]} == {judged["tasks"][0]["samples"]["validation"]}
    assert judged["summary"][0]["mean"] == judged["runs"][0]["metrics"]["accuracy"]
    code, printed, _ = run("judged", "--resume")
    assert code == 2
    assert "judged" in printed


def test_settings_are_replaced_from_the_command_line(run):
    code, printed, out = run("set", "--set", "head.hidden=[4]", "--set", "optimizer=sgd", "--set", "lr=0.01")
    assert code == 0, printed
    used = document(out)["settings"]["tasks"]["fer"]
    assert (used["head"]["hidden"], used["optimizer"], used["lr"]) == ([4], "sgd", 0.01)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--set", "lr"), "expected NAME=VALUE"),
        (("--set", "lr=1", "--set", "lr=2"), "given twice"),
        (("--set", "learning_rate=1"), "unknown setting 'learning_rate'"),
        (("--set", "head.depth=1"), "unknown setting 'head.depth'"),
        (("--set", "lr=fast"), "lr: expected a number > 0"),
        (("--labels", "0"), "labels: expected a number > 0 and <= 1"),
        (("--labels", "1.5"), "labels: expected a number > 0 and <= 1"),
    ],
)
def test_bad_options_are_named_in_one_line(run, option, message):
    code, printed, out = run("bad", *option)
    assert code == 2
    assert message in printed
    assert not out.exists()
