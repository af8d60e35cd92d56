"""Third-party weights are described by a manifest, checked at each use, and loaded without running code."""

import contextlib
import functools
import hashlib
import io
import os
import pickle
import re
import subprocess
import sys
import zipfile

import pytest
import torch
from safetensors.torch import save
from torch import nn

from ciao_stream.encoders.weights import load_state, manifest, store, weights_path
from ciao_stream.encoders.weights.fetch import fetch
from ciao_stream.exceptions import CiaoError, UnknownNameError
from tests.helpers import ROOT
from tests.helpers.http_server import Site, serving
from tests.helpers.weights_files import BODY, TENSORS, entry, fetched, saved

# --- the manifest


def test_every_entry_is_complete_and_has_a_name_of_its_own():
    assert len(set(manifest.names())) == len(manifest.ENTRIES) == 10
    for one in manifest.ENTRIES:
        assert manifest.entry(one.name) is one
        assert one.licence
        assert one.trained_on
        assert one.url is None or one.url.startswith("https://")
        assert one.page.startswith("https://")
        assert one.sha256 is None or re.fullmatch("[0-9a-f]{64}", one.sha256)
        assert one.git_blob is None or re.fullmatch("[0-9a-f]{40}", one.git_blob)
        prepare = one.preprocessing
        n = 1 if prepare.channels == "gray" else 3
        assert len(prepare.mean) == len(prepare.std) == n
        assert 0 < prepare.size < 512


def test_an_address_in_a_repository_is_pinned_to_a_commit():
    for one in manifest.ENTRIES:
        if one.git_blob or "huggingface" in (one.url or ""):
            assert re.search("/[0-9a-f]{40}/", one.url), one.name


def test_preprocessing_matches_the_training_of_the_weights():
    white = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    facenet = manifest.entry("facenet-vggface2").preprocessing.normalise(white)
    assert facenet.flatten().tolist() == pytest.approx([127.5 / 128] * 3)
    vggface = manifest.entry("vggface").preprocessing.normalise(white)
    assert vggface.flatten().tolist() == pytest.approx([255 - 129.1863, 255 - 104.7624, 255 - 93.5940], rel=1e-4)


def test_an_unknown_name_is_refused_with_a_suggestion():
    with pytest.raises(UnknownNameError, match="unknown weights 'farl-b6': did you mean 'farl-b16'"):
        weights_path("farl-b6")


# --- use by the library


def test_the_error_for_missing_weights_gives_the_command_and_nothing_is_downloaded(only_tiny):
    site = Site(BODY)
    with serving(site) as url:
        only_tiny(url=url)
        for use in (weights_path, load_state):
            with pytest.raises(CiaoError, match=r"is missing: run python -m ciao_stream.data weights tiny$"):
                use("tiny")
    assert site.seen == []


def test_no_module_that_loads_weights_imports_a_network_library():
    code = (
        "import sys, ciao_stream.encoders.weights as w; w.names(); "
        "print({'requests', 'urllib3', 'torch'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout.strip() == "set()"


def test_a_file_is_checked_each_time_it_is_used(only_tiny, tmp_path):
    only_tiny()
    path = fetched(Site(BODY), tmp_path)
    assert weights_path("tiny") == path
    about = path.stat()
    with path.open("r+b") as file:
        file.write(b"!")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(CiaoError, match="is not the expected file: run python -m"):
        weights_path("tiny")


def test_a_file_without_a_record_is_accepted_by_the_manifests_hash_alone(only_tiny, tmp_path):
    body = save(TENSORS)
    only_tiny(sha256=hashlib.sha256(body).hexdigest(), format="safetensors")
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "weights.bin").write_bytes(body)
    assert weights_path("tiny").read_bytes() == body
    assert torch.equal(load_state("tiny")["conv.weight"], TENSORS["conv.weight"])
    only_tiny(sha256=None)
    with pytest.raises(CiaoError):
        weights_path("tiny")


def test_without_a_home_folder_the_error_asks_for_a_folder(monkeypatch):
    for name in ("CIAO_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CiaoError, match="--to DIR or CIAO_WEIGHTS=DIR"):
        weights_path("vggface")


# --- loading


def loaded(tmp_path, body, **about):
    (tmp_path / "weights.bin").write_bytes(body)
    return store.read_state(entry(**about), tmp_path / "weights.bin")


@pytest.mark.parametrize(
    ("body", "about"),
    [
        (save(TENSORS), {"format": "safetensors"}),
        (saved(TENSORS), {}),
        (saved(TENSORS, _use_new_zipfile_serialization=False), {}),
        (saved({"state_dict": TENSORS, "epoch": 3}), {"key": "state_dict"}),
    ],
    ids=["safetensors", "torch", "old torch", "under a key"],
)
def test_loaded_tensors_equal_the_saved_ones(tmp_path, body, about):
    state = loaded(tmp_path, body, **about)
    assert state.keys() == TENSORS.keys()
    assert all(torch.equal(state[name], TENSORS[name]) for name in state)


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize(
    ("dump", "culprit"),
    [(saved, "system"), (functools.partial(saved, _use_new_zipfile_serialization=False), "system"), (pickle.dumps, "")],
    ids=["torch", "old torch", "bare pickle"],
)
def test_a_file_that_runs_code_is_refused_and_runs_none(tmp_path, dump, culprit):
    victim = tmp_path / "created"
    body = dump({"weight": Malicious(victim)})
    with serving(Site(body)) as url:
        with pytest.raises(CiaoError, match=f"is not loaded: loading it would run code, .*{culprit}"):
            fetch(entry(url, sha256=None), tmp_path)
        one = entry(url, sha256=hashlib.sha256(body).hexdigest())
        with pytest.raises(CiaoError, match="is not loaded: loading it would run code"):
            store.read_state(one, fetch(one, tmp_path))
    assert not victim.exists()
    with contextlib.suppress(RuntimeError):  # a bare pickle runs its code before it is refused
        torch.load(tmp_path / "tiny" / "weights.bin", weights_only=False)
    assert victim.exists(), "the same file does run code where that is allowed"


def torchscript():
    """Return an archive with the files of a program."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("constants.pkl", "data.pkl", "code/__torch__.py"):
            archive.writestr(f"model/{name}", b"")
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "about", "message"),
    [
        (b"", {}, "cannot be read"),
        (saved(TENSORS).replace(b"PK\1\2", b"PK!!"), {}, "cannot be read"),
        (saved(TENSORS, _use_new_zipfile_serialization=False)[:-4], {}, "cannot be read"),
        (BODY, {"format": "safetensors"}, "not a readable safetensors file"),
        (saved(nn.Linear(2, 2)), {}, "is not loaded: loading it would run code"),
        (torchscript(), {}, "is not loaded: it is a TorchScript program"),
        (saved([1, 2]), {}, "holds no named tensors:"),
        (saved({"epoch": 3}), {"key": "state_dict"}, "holds no named tensors under 'state_dict'"),
        (saved(TENSORS), {"format": "h5 in tar.xz"}, "h5 in tar.xz cannot be read here; see https://"),
    ],
)
def test_a_file_without_tensors_is_refused_in_one_line(tmp_path, body, about, message):
    with pytest.raises(CiaoError, match=message) as caught:
        loaded(tmp_path, body, **about)
    assert "weights_only" not in str(caught.value), "torch's advice to disable weights_only is not repeated"
