"""``pretrain crs-cont``, as a user runs it."""

import json
import os

import pytest
import torch

from ciao_stream.encoders import load_encoder
from ciao_stream.encoders.untrained import untrained_encoder
from ciao_stream.pretrain import __main__ as pretrain
from ciao_stream.pretrain import data as sampled
from ciao_stream.pretrain.crs_cont import ContrastLearner
from tests.helpers.pretraining import refusal, rows
from tests.helpers.sequences import exit_code


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few validation faces."""
    monkeypatch.setattr(sampled, "VALIDATION_FACES", 12)


def call(out, *more, tasks="ferplus,affectnet"):
    about = ("--limit", "20", "--batch", "16", "--epochs", "2", "--device", "cpu", "--cache", os.environ["CIAO_CACHE"])
    return exit_code(pretrain.main, ["crs-cont", "--tasks", tasks, "--out", str(out), *about, *more])


def refused(capsys, out, *more, **options):
    return refusal(capsys, call(out, *more, **options))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that is never stopped."""
    out = tmp_path_factory.mktemp("crs-cont") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampled, "VALIDATION_FACES", 12)
        assert call(out) == 0
    return out


def test_a_run_leaves_an_encoder_that_says_what_it_saw(whole):
    files = {str(p.relative_to(whole)) for p in whole.rglob("*") if p.is_file() and "tfevents" not in p.name}
    assert files == {"run.json", "checkpoint.pt", "encoder.json", "encoder.safetensors", "losses.csv", "losses.png"}
    trained = load_encoder(str(whole))
    assert trained.name == "ciao-face"
    assert trained.fingerprint() != untrained_encoder("ciao-face").fingerprint()
    assert trained.weights == "trained by crs-cont on ferplus (synthetic, train), affectnet (synthetic, train)"
    saw = json.loads((whole / "encoder.json").read_text())["trained_on"]
    assert (saw["method"], saw["source"], saw["epochs"], saw["steps"], saw["batch"]) == (
        "crs-cont", "synthetic", 2, 6, 16,
    )  # fmt: skip
    assert saw["labels"] == ["positive", "negative", "neutral", "surprise"]
    assert saw["recipe"]["weights"]["negative"] == 0.5
    assert saw["command"].startswith("python -m ciao_stream.pretrain crs-cont --tasks ferplus,affectnet --limit 20 ")
    assert " --epochs 2 --batch 16 " in saw["command"]


def test_its_curves_hold_every_part_of_the_loss(whole):
    found = rows(whole)
    assert [(row["split"], row["epoch"]) for row in found] == [
        ("validation", "0"), ("train", "1"), ("validation", "1"), ("train", "2"), ("validation", "2"),
    ]  # fmt: skip
    assert {row["source"] for row in found} == {"synthetic"}
    for row in found:
        assert {*row} == {"source", "split", "epoch", "step", "supervised", "coarse", "instance", "accuracy"}
        assert 0 <= float(row["accuracy"]) <= 1
        assert float(row["supervised"]) > 0


def test_a_further_contrast_has_a_column_of_its_own(tmp_path):
    assert call(tmp_path / "run", "--views", "0.5", "--epochs", "1") == 0
    assert all(float(row["views"]) > 0 for row in rows(tmp_path / "run"))


@pytest.mark.parametrize("nth", [1, 2, 5])
def test_a_run_that_was_stopped_ends_bit_for_bit_as_one_that_was_not(nth, whole, tmp_path, stopped_and_resumed):
    out = tmp_path / "run"
    stopped_and_resumed(ContrastLearner, nth, lambda: call(out), lambda: call(out, "--resume"))
    for name in ("encoder.safetensors", "losses.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()


def test_a_trained_encoder_can_be_trained_on(whole, tmp_path):
    assert call(tmp_path / "run", "--encoder", str(whole), "--epochs", "1", "--lr", "1e-9", tasks="fer") == 0
    before, after = (load_encoder(str(folder)) for folder in (whole, tmp_path / "run"))
    for (name, one), other in zip(before.named_parameters(), after.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-4), name


def test_a_network_of_a_library_can_be_trained(tmp_path):
    argv = ("--encoder", "torchvision:squeezenet1_1", "--epochs", "1", "--limit", "4", "--batch", "4")
    assert call(tmp_path / "run", *argv, tasks="fer") == 0
    assert load_encoder(str(tmp_path / "run")).name == "torchvision:squeezenet1_1"


def test_bad_input_is_one_line(whole, tmp_path, capsys):
    out = tmp_path / "run"
    assert "task 'affectnet-va' is dimensional: coarse labels" in refused(capsys, out, tasks="ferplus,affectnet-va")
    assert "unknown encoder 'ciaoface'" in refused(capsys, out, "--encoder", "ciaoface")
    assert not out.exists(), "none of these leaves anything behind"
    assert "differs in epochs, recipe" in refused(capsys, whole, "--resume", "--epochs", "3", "--temperature", "0.5")
