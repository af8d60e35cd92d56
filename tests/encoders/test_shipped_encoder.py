"""The shipped weights of ciao-face: small, finite, with their training data documented."""

import json

import pytest
import torch

from ciao_stream.encoders import SHIPPED, load_encoder
from ciao_stream.encoders.untrained import untrained_encoder
from tests.helpers import ROOT

CARD = ROOT / "docs" / "ciao-face.md"


@pytest.fixture(scope="module")
def about():
    return json.loads((SHIPPED / "ciao-face" / "encoder.json").read_text())


def test_the_default_encoder_has_trained_weights():
    encoder = load_encoder("ciao-face")
    assert encoder.weights == "trained by crs-cont on ferplus (real, train)"
    assert encoder.fingerprint() != untrained_encoder("ciao-face").fingerprint()
    assert encoder.frozen
    assert load_encoder("random:ciao-face").fingerprint() == untrained_encoder("ciao-face").fingerprint()


def test_it_stays_within_its_limits():
    encoder = load_encoder("ciao-face")
    assert (SHIPPED / "ciao-face" / "encoder.safetensors").stat().st_size < 10 * 10**6
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*")) < 12 * 10**6
    assert encoder.parameter_count() <= 5_000_000
    assert encoder.last.conv.out_channels <= 512
    assert all(torch.isfinite(tensor).all() for tensor in encoder.state_dict().values())


def test_it_was_trained_only_on_training_rows_and_coarse_labels(about):
    saw = about["trained_on"]
    assert saw["labels"] == ["positive", "negative", "neutral", "surprise"]
    ((name, split, source),) = [(task["name"], task["split"], task["source"]) for task in saw["tasks"]]
    assert (name, split, source) == ("ferplus", "train", "real")
    assert saw["tasks"][0]["faces"] <= 28_709


def test_it_records_its_command_without_paths_of_a_machine(about):
    command = about["trained_on"]["command"]
    assert command.startswith("python -m ciao_stream.pretrain crs-cont --tasks ferplus")
    assert "--data-root DIR" in command
    assert "/" not in json.dumps(about["trained_on"]["command"])


def test_its_card_describes_these_weights(about):
    card = CARD.read_text()
    assert about["fingerprint"] in card
    assert about["trained_on"]["command"] in card
    for heading in ("## Training data", "## What it must not be used for", "## Results"):
        assert heading in card


def test_different_faces_have_different_maps():
    encoder = load_encoder("ciao-face")
    faces = torch.randint(0, 256, (4, 1, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    maps = encoder(faces)
    assert maps.shape == (4, 256, 6, 6)
    assert maps.mean(dim=(2, 3)).std(dim=0).max() > 1e-3
