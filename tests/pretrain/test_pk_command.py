"""``pretrain pk``, as a user runs it."""

import importlib.util
import io
import json
import sys

import pytest
import torch
from matplotlib.image import imread

from ciao_stream import encoders
from ciao_stream.encoders import load_encoder, saved
from ciao_stream.encoders.saved import load_saved
from ciao_stream.pretrain import __main__ as pretrain
from ciao_stream.pretrain import data as sampled
from ciao_stream.pretrain import training
from ciao_stream.pretrain.pk import method, networks
from ciao_stream.pretrain.pk.trainer import PkLearner
from tests.helpers import tiny
from tests.helpers.pretraining import refusal, rows
from tests.helpers.sequences import exit_code


def small(patch):
    """Let the command train a small encoder on 32x32 faces, look at few validation faces, and draw only curves.

    Returns:
        Where pictures would have been written, and their titles, as they come.
    """
    drawn = []

    def load(name, *, seed=0):
        if name != "pk":
            return load_encoder(name, seed=seed)
        shrunk = tiny.encoder(seed, channels="bgr", size=32)
        shrunk.name = "pk"
        return shrunk

    patch.setattr(encoders, "load_encoder", load)
    patch.setattr(saved, "untrained_encoder", load)
    patch.setattr(sampled, "VALIDATION_FACES", 6)
    for name in ("write_reconstructions", "write_arousal_valence"):
        patch.setattr(method, name, lambda path, learner, batch, title: drawn.append((path.name, title)))  # noqa: ARG005
    patch.setitem(sys.modules, "torch.utils.tensorboard", None)
    return drawn


def call(*argv):
    return exit_code(pretrain.main, ["pk", *argv])


def arguments(out, cache, *more, tasks="affectnet-va"):
    about = ("--limit", "10", "--batch", "4", "--width", "0.02", "--epochs", "2", "--device", "cpu")
    return ("--tasks", tasks, "--out", str(out), "--cache", str(cache), *about, *more)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that is never stopped."""
    folder = tmp_path_factory.mktemp("pk")
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        assert call(*arguments(folder / "run", folder / "cache")) == 0
    return folder


@pytest.fixture
def cache(whole, monkeypatch):
    """A folder of prepared pixels of the small encoder, which the command trains meanwhile."""
    small(monkeypatch)
    return whole / "cache"


def test_a_run_leaves_an_encoder_curves_and_pictures_marked_synthetic(tmp_path, monkeypatch):
    monkeypatch.setattr(sampled, "VALIDATION_FACES", 6)
    out = tmp_path / "run"
    assert call(*arguments(out, tmp_path / "cache")) == 0
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and "tfevents" not in path.name}
    assert files == {
        "run.json", "checkpoint.pt", "encoder.json", "encoder.safetensors", "losses.csv", "losses.png",
        "pictures/reconstructions.png", "pictures/arousal_valence.png",
    }  # fmt: skip
    for path in out.rglob("*.png"):
        assert imread(path).std() > 0
    if importlib.util.find_spec("tensorboard"):
        (events,) = (out / "tensorboard").iterdir()
        content = events.read_bytes()
        for written in (
            b"reconstruction/train",
            b"image_accuracy/validation",
            b"arousal and valence of face 0 (synthetic)",
        ):
            assert written in content
    about = json.loads((out / "encoder.json").read_text())
    saw = about["trained_on"]
    assert about["name"] == "pk"
    assert about["preprocessing"] == {"size": 96, "channels": "bgr", "mean": [0.5] * 3, "std": [0.5] * 3}
    assert about["fingerprint"] == load_saved(out).fingerprint() != load_encoder("pk").fingerprint()
    assert saw["source"] == "synthetic"
    assert saw["conditioned_on_arousal_and_valence"]
    assert (saw["epochs"], saw["steps"], saw["seed"], saw["limit"]) == (2, 6, 0, 10)
    (task,) = saw["tasks"]
    assert (task["name"], task["split"], task["faces"], task["source"]) == ("affectnet-va", "train", 10, "synthetic")
    assert saw["command"].startswith("python -m ciao_stream.pretrain pk --tasks affectnet-va --limit 10 ")
    assert " --epochs 2 --batch 4 " in saw["command"]
    found = rows(out)
    assert {row["source"] for row in found} == {"synthetic"}
    assert [(row["split"], row["epoch"], row["step"]) for row in found] == [
        ("validation", "0", "0"), ("train", "1", "3"), ("validation", "1", "3"), ("train", "2", "6"),
        ("validation", "2", "6"),
    ]  # fmt: skip
    assert float(found[-1]["reconstruction"]) < float(found[0]["reconstruction"])
    assert all(0 <= float(row[name]) <= 1 for row in found for name in ("image_accuracy", "prior_accuracy"))


def test_titles_of_pictures_say_synthetic(whole, monkeypatch):
    drawn, titles = small(monkeypatch), []
    monkeypatch.setattr(training.Curves, "write", lambda *args: titles.append(args[2]))
    assert call(*arguments(whole / "run", whole / "cache", "--resume")) == 0
    assert [name for name, _ in drawn] == ["reconstructions.png", "arousal_valence.png"]
    assert all(
        "affectnet-va (synthetic)" in title and "2 epochs" in title for title in [*titles, *dict(drawn).values()]
    )
    assert len(titles) == 1


@pytest.mark.parametrize("nth", [1, 2, 4, 6])
def test_a_run_that_was_stopped_ends_bit_for_bit_as_one_that_was_not(nth, whole, cache, tmp_path, stopped_and_resumed):
    argv = arguments(tmp_path / "run", cache)
    stopped_and_resumed(PkLearner, nth, lambda: call(*argv), lambda: call(*argv, "--resume"))
    for name in ("encoder.safetensors", "losses.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / "run" / name).read_bytes()
    ours, theirs = (torch.load(f / "run" / "checkpoint.pt", weights_only=True) for f in (tmp_path, whole))
    for network in ("autoencoder", "discriminators"):
        for name, tensor in ours["method"][network].items():
            assert torch.equal(tensor, theirs["method"][network][name]), name


def test_a_finished_run_may_be_extended(whole, cache, tmp_path):
    short, long = (arguments(tmp_path / "run", cache, "--epochs", n) for n in ("1", "2"))
    assert call(*short) == 0
    assert call(*long, "--resume") == 0
    ours, theirs = ((folder / "run" / "encoder.safetensors").read_bytes() for folder in (tmp_path, whole))
    assert ours == theirs


def test_a_task_without_arousal_and_valence_is_learned_without_them(whole, tmp_path, capsys, monkeypatch):
    drawn, seen = small(monkeypatch), []
    step = PkLearner.step
    monkeypatch.setattr(PkLearner, "step", lambda self, given, drawn: seen.append(given) or step(self, given, drawn))
    out = tmp_path / "run"
    assert call(*arguments(out, whole / "cache", "--epochs", "1", tasks="affectnet-va,fer")) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "unconditioned: arousal and valence are not known of every face (affectnet-va is dimensional, fer is" in told
    assert "no identity term" in told
    assert sum(len(given.pixels) for given in seen) == 20
    assert not any(given.labels.any() for given in seen)
    assert [name for name, _ in drawn] == ["reconstructions.png"]
    assert not json.loads((out / "encoder.json").read_text())["trained_on"]["conditioned_on_arousal_and_valence"]


def test_a_saved_encoder_can_be_the_feature_network(whole, cache, tmp_path, capsys):
    argv = arguments(tmp_path / "run", cache, "--epochs", "1", "--identity", str(whole / "run"), "--emotion")
    assert call(*argv) == 0
    assert "no identity term" not in capsys.readouterr().err
    row = rows(tmp_path / "run")[1]
    assert float(row["identity"]) > 0
    assert float(row["emotion"]) > 0
    saw = json.loads((tmp_path / "run" / "encoder.json").read_text())["trained_on"]
    assert saw["identity_network"] == load_saved(whole / "run").fingerprint()


def test_tensorboard_is_not_missed_where_it_is_not_installed(whole):
    assert not (whole / "run" / "tensorboard").exists()


def test_ctrl_c_prints_how_to_resume(cache, tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(PkLearner, "step", interrupt)
    assert call(*arguments(tmp_path / "run", cache)) == 130
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line == f"interrupted; resume with: python -m ciao_stream.pretrain pk --resume --out {tmp_path / 'run'}"
    monkeypatch.undo()
    small(monkeypatch)
    assert call(*line.split("ciao_stream.pretrain pk ")[1].split()) == 0


def refused(capsys, *argv):
    return refusal(capsys, call(*argv))


def test_bad_input_is_one_line(whole, cache, tmp_path, capsys):
    out = tmp_path / "run"
    assert "unknown task 'affectnetva'" in refused(capsys, *arguments(out, cache, tasks="affectnetva"))
    assert "task 'fer' is given twice" in refused(capsys, *arguments(out, cache, tasks="fer,fer"))
    assert "no task given" in refused(capsys, *arguments(out, cache, tasks=","))
    assert "batch: expected a whole number >= 2 but got 1" in refused(capsys, *arguments(out, cache, "--batch", "1"))
    assert "limit: expected a whole number >= 2" in refused(capsys, *arguments(out, cache, "--limit", "1"))
    assert "arousal and valence are not known" in refused(capsys, *arguments(out, cache, "--emotion", tasks="fer"))
    assert "encoder.json is missing" in refused(capsys, *arguments(out, cache, "--identity", str(tmp_path)))
    assert "nothing to resume" in refused(capsys, *arguments(out, cache, "--resume"))
    assert not out.exists(), "none of these leaves anything behind"
    assert "already holds a run" in refused(capsys, *arguments(whole / "run", cache))
    changed = refused(capsys, *arguments(whole / "run", cache, "--resume", "--lr", "0.1", "--seed", "1"))
    assert "differs in data, recipe, encoder, seed" in changed


def executable():
    """A checkpoint that holds a network instead of tensors."""
    file = io.BytesIO()
    torch.save({"method": networks.Generator(16, 3, 0.02)}, file)
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"PK", b"{}", executable(), None])
def test_a_damaged_checkpoint_is_one_line_and_nothing_executable_is_loaded(content, whole, cache, tmp_path, capsys):
    out = tmp_path / "run"
    out.mkdir()
    (out / "run.json").write_bytes((whole / "run" / "run.json").read_bytes())
    path = out / "checkpoint.pt"
    path.write_bytes((whole / "run" / "checkpoint.pt").read_bytes()[:-2000] if content is None else content)
    assert f"checkpoint {path} is damaged" in refused(capsys, *arguments(out, cache, "--resume"))


def test_numbers_out_of_range_are_usage_errors(capsys):
    for option, value in (("--lr", "0"), ("--width", "2"), ("--epochs", "0"), ("--seed", "-1"), ("--lr", "x")):
        assert call("--tasks", "fer", option, value) == 2
        line = capsys.readouterr().err
        assert line.startswith("error: ")
        assert option.strip("-") in line
        assert line.count("\n") == 1
