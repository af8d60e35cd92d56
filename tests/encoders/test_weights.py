"""Third-party weights: fetched from a real, faulty server, checked, and loaded without running code."""

import argparse
import contextlib
import hashlib
import json
import os
import pickle
import re
import resource
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from ciao_stream.data import weights as weights_command
from ciao_stream.encoders.weights import fetch as fetching
from ciao_stream.encoders.weights import load_state, manifest, store, weights_path
from ciao_stream.encoders.weights.fetch import fetch
from ciao_stream.exceptions import CiaoError, UnknownNameError
from tests.helpers import ROOT
from tests.helpers.http_server import Site, closed_address, serving

BODY = bytes(range(256)) * 12_000  # 3 MB: three blocks
SHA256 = hashlib.sha256(BODY).hexdigest()
TENSORS = {"conv.weight": torch.arange(6.0).view(2, 3), "conv.bias": torch.ones(2)}


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch):
    for name in ("CIAO_OFFLINE", "CIAO_WEIGHTS", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")


def entry(url="http://127.0.0.1:9/weights.bin", **changes):
    """Return an entry, by default of a file whose hash is known."""
    about = {
        "name": "tiny", "file": "weights.bin", "url": url, "page": "https://example.org/tiny", "format": "state_dict",
        "licence": "CC0", "trained_on": "nobody", "prepare": (8, "gray", (0.0,), (1.0,)), "network": "Tiny",
        "architecture": None, "sha256": SHA256,
    }  # fmt: skip
    return manifest.Entry(**{**about, **changes})


def left(folder):
    """Return the names of the files in the folder of the weights."""
    return sorted(path.name for path in (folder / "tiny").glob("*"))


def saved(tensors, **options):
    """Return the bytes of a saved state dict."""
    import io

    file = io.BytesIO()
    torch.save(tensors, file, **options)
    return file.getvalue()


def command(*argv):
    """Run the command in this process."""
    parser = argparse.ArgumentParser()
    weights_command.add_parser(parser.add_subparsers(dest="command"))
    return weights_command.main(parser.parse_args(["weights", *map(str, argv)]))


@pytest.fixture
def only_tiny(monkeypatch, tmp_path):
    """A function that replaces the manifest with one entry, whose file is kept in this test's folder."""
    monkeypatch.setenv("CIAO_WEIGHTS", str(tmp_path))

    def put(**changes):
        one = entry(**changes)
        monkeypatch.setattr(manifest, "ENTRIES", (one,))
        return one

    return put


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


def test_an_unknown_name_is_refused_with_a_suggestion(capsys):
    with pytest.raises(UnknownNameError, match="unknown weights 'farl-b6': did you mean 'farl-b16'"):
        weights_path("farl-b6")
    assert command("facenet-casio") == 2
    assert "did you mean 'facenet-casia'" in capsys.readouterr().err


# --- the download


class Watched:
    """A progress that records its calls."""

    def __init__(self):
        self.total, self.done = None, []

    @contextlib.contextmanager
    def bar(self, what, total=None):
        assert what == "tiny (MB)"
        self.total = total
        yield self

    def advance(self, n):
        self.done.append(n)


@pytest.mark.parametrize("length", [True, False])
def test_a_download_is_whole_and_reports_progress(tmp_path, length):
    watched = Watched()
    with serving(Site(BODY, length=length)) as url:
        path = fetch(entry(url), tmp_path, progress=watched)
    assert path == tmp_path / "tiny" / "weights.bin"
    assert path.read_bytes() == BODY
    assert path.stat().st_mode & 0o777 == 0o644
    assert left(tmp_path) == ["weights.bin"]
    assert len(watched.done) >= 4
    assert sum(watched.done) == pytest.approx(len(BODY) / 1e6)
    assert watched.total == (len(BODY) / 1e6 if length else None)


def test_a_file_that_is_here_is_not_fetched_again(tmp_path):
    site = Site(BODY)
    with serving(site) as url:
        fetch(entry(url), tmp_path)
        fetch(entry(url), tmp_path)
    assert len(site.seen) == 1


def test_a_file_that_was_changed_on_disk_is_fetched_again(tmp_path):
    site = Site(BODY)
    with serving(site) as url:
        path = fetch(entry(url), tmp_path)
        path.write_bytes(b"damaged")
        assert fetch(entry(url), tmp_path).read_bytes() == BODY
    assert len(site.seen) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"statuses": [500, 503]}, ["500 Internal Server Error", "503 Service Unavailable"]),
        ({"cuts": [1_500_000]}, ["the connection broke"]),
        ({"cuts": [1_500_000], "length": False}, ["the connection broke"]),
    ],
)
def test_a_failure_that_may_pass_is_tried_again_after_a_pause(tmp_path, monkeypatch, caplog, fault, reason):
    slept = []
    monkeypatch.setattr(fetching.time, "sleep", slept.append)
    with serving(Site(BODY, **fault)) as url:
        assert fetch(entry(url), tmp_path).read_bytes() == BODY
    assert slept == [1, 4][: len(reason)]
    for line, part in zip(caplog.messages, reason, strict=True):
        assert part in line
        assert "trying again in" in line


@pytest.mark.parametrize(
    ("site", "message", "requests"),
    [
        (Site(BODY, statuses=[404]), r"weights.bin: the server answered 404 Not Found; nothing was downloaded", 1),
        (Site(BODY, statuses=[503] * 3), r"the server answered 503 Service Unavailable", 3),
        (Site(BODY, cuts=[1_500_000] * 3), r"the connection broke", 3),
        (Site(BODY, hold_after=0), r"the server did not answer in time", 3),
        (Site(BODY, hold_after=1_500_000), r"the server did not answer in time", 3),
    ],
    ids=["404", "503", "cut", "silent", "stalled"],
)
def test_a_server_that_fails_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, site, message, requests):
    monkeypatch.setattr(fetching, "PAUSES", (0, 0))
    monkeypatch.setattr(fetching, "TIMEOUT", (30, 0.3))
    with serving(site) as url, pytest.raises(CiaoError, match=message):
        fetch(entry(url), tmp_path)
    assert len(site.seen) == requests
    assert left(tmp_path) == []


def test_a_server_that_cannot_be_reached_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "PAUSES", ())
    with pytest.raises(CiaoError, match=r"the server cannot be reached \(is there a network\?\)"):
        fetch(entry(closed_address()), tmp_path)


@pytest.mark.parametrize("page", [b"\n <!DocType html><p>", b"<HTML>"], ids=["doctype", "html"])
def test_a_web_page_is_refused(tmp_path, page):
    with serving(Site(page)) as url, pytest.raises(CiaoError, match="the file is a web page, not weights"):
        fetch(entry(url, sha256=None), tmp_path)
    assert left(tmp_path) == []


def test_a_wrong_hash_is_one_line_and_nothing_is_kept(tmp_path):
    wanted = "0" * 64
    with serving(Site(BODY)) as url, pytest.raises(CiaoError, match=f"expected sha256:{wanted} but got {SHA256}$"):
        fetch(entry(url, sha256=wanted), tmp_path)
    assert left(tmp_path) == []


def test_a_full_disk_is_one_line_and_nothing_is_kept(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with serving(Site(BODY)) as url:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
        try:
            with pytest.raises(CiaoError, match=r"cannot write in .*tiny: File too large; free some space or choose"):
                fetch(entry(url), tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left(tmp_path) == []


def test_a_disk_without_space_is_one_line(tmp_path, monkeypatch):
    def full(*_):
        with Path("/dev/full").open("wb") as file:
            file.write(BODY)

    monkeypatch.setattr(fetching, "_download", full)
    with pytest.raises(CiaoError, match=r"cannot write in .*tiny: No space left on device; free some space"):
        fetch(entry(), tmp_path)


# --- hashes that are not known


def test_an_unknown_hash_is_recorded_and_required_from_then_on(tmp_path):
    first, other = saved(TENSORS), saved({"conv.weight": torch.zeros(2, 3)})
    site = Site(first)
    with serving(site) as url:
        one = entry(url, sha256=None)
        path = fetch(one, tmp_path)
        record = tmp_path / "tiny" / "recorded.json"
        assert json.loads(record.read_text()) == {"sha256": hashlib.sha256(first).hexdigest()}
        path.unlink()
        site.body = other
        with pytest.raises(CiaoError, match=r"recorded at the first fetch; delete .*recorded.json to accept"):
            fetch(one, tmp_path)
        assert left(tmp_path) == ["recorded.json"]
        record.unlink()
        assert fetch(one, tmp_path).read_bytes() == other


@pytest.mark.parametrize("body", [b"", b"not tensors", saved(TENSORS)[:500]], ids=["empty", "text", "cut"])
def test_a_file_that_cannot_be_loaded_is_not_recorded(tmp_path, body):
    with serving(Site(body)) as url, pytest.raises(CiaoError):
        fetch(entry(url, sha256=None), tmp_path)
    assert left(tmp_path) == []


def test_the_git_blob_name_of_the_file_is_required(tmp_path):
    body = saved(TENSORS)
    blob = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
    with serving(Site(body)) as url:
        with pytest.raises(CiaoError, match=f"git blob {blob} but {'0' * 40} was expected"):
            fetch(entry(url, sha256=None, git_blob="0" * 40), tmp_path)
        assert left(tmp_path) == []
        assert fetch(entry(url, sha256=None, git_blob=blob), tmp_path).read_bytes() == body


def test_a_damaged_record_is_one_line(tmp_path):
    with serving(Site(saved(TENSORS))) as url:
        fetch(entry(url, sha256=None), tmp_path)
        (tmp_path / "tiny" / "recorded.json").write_text('{"sha1": 1}')
        with pytest.raises(CiaoError, match=r"recorded.json is damaged: delete it"):
            fetch(entry(url, sha256=None), tmp_path)


# --- a file that the user has


def test_a_given_file_is_copied_recorded_and_required(tmp_path):
    given, other = tmp_path / "mine.pth", tmp_path / "other.pth"
    given.write_bytes(saved({"state_dict": TENSORS, "epoch": 3}))
    other.write_bytes(saved({"state_dict": {"conv.weight": torch.zeros(1)}}))
    one = entry(None, sha256=None, key="state_dict")
    with pytest.raises(CiaoError, match=r"cannot be downloaded .* from https://example.org/tiny in a browser, then"):
        fetch(one, tmp_path)
    path = fetch(one, tmp_path, given)
    assert path.read_bytes() == given.read_bytes()
    with pytest.raises(CiaoError, match=r"other.pth is not the expected file .* expected sha256 \w+ but got \w+"):
        fetch(one, tmp_path, other)
    assert path.read_bytes() == given.read_bytes()
    assert other.exists()


@pytest.mark.parametrize(
    ("content", "message"), [(b"<!doctype html>", "web page"), (None, "No such file"), (..., "Is a directory")]
)
def test_a_given_file_that_does_not_hold_weights_is_refused(tmp_path, content, message):
    given = tmp_path / "given"
    if content is ...:
        given.mkdir()
    elif content:
        given.write_bytes(content)
    with pytest.raises(CiaoError, match=message):
        fetch(entry(None, sha256=None), tmp_path, given)
    assert left(tmp_path) == []


# --- use by the library


def test_the_error_for_missing_weights_gives_the_command_and_nothing_is_downloaded(only_tiny):
    site = Site(BODY)
    with serving(site) as url:
        only_tiny(url=url)
        with pytest.raises(CiaoError, match=r"is missing: run python -m ciao_stream.data weights tiny$"):
            weights_path("tiny")
        with pytest.raises(CiaoError, match="weights tiny"):
            load_state("tiny")
    assert site.seen == []


def test_no_module_that_loads_weights_imports_a_network_library():
    code = (
        "import sys, ciao_stream.encoders.weights as w; w.names(); "
        "print({'requests', 'urllib3', 'torch'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout.strip() == "set()"


def test_a_file_is_checked_each_time_it_is_used(only_tiny, tmp_path):
    with serving(Site(BODY)) as url:
        path = fetch(only_tiny(url=url), tmp_path)
    assert weights_path("tiny") == path
    about = path.stat()
    with path.open("r+b") as file:
        file.write(b"!")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(CiaoError, match="is not the expected file: run python -m"):
        weights_path("tiny")


def test_a_file_without_a_record_is_accepted_by_the_manifests_hash_alone(only_tiny, tmp_path):
    only_tiny()
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "weights.bin").write_bytes(BODY)
    assert weights_path("tiny").read_bytes() == BODY
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


def test_load_state_reads_what_was_fetched(only_tiny, tmp_path):
    body = save(TENSORS)
    with serving(Site(body)) as url:
        fetch(only_tiny(url=url, sha256=hashlib.sha256(body).hexdigest(), format="safetensors"), tmp_path)
    assert torch.equal(load_state("tiny")["conv.weight"], TENSORS["conv.weight"])


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_runs_code_is_refused_and_runs_none(tmp_path, zipped):
    victim = tmp_path / "created"
    body = saved({"weight": Malicious(victim)}, _use_new_zipfile_serialization=zipped)
    with serving(Site(body)) as url:
        with pytest.raises(CiaoError, match=r"is not loaded: loading it would run code, .*system"):
            fetch(entry(url, sha256=None), tmp_path)
        one = entry(url, sha256=hashlib.sha256(body).hexdigest())
        with pytest.raises(CiaoError, match="is not loaded: loading it would run code"):
            store.read_state(one, fetch(one, tmp_path))
    assert not victim.exists()
    torch.load(tmp_path / "tiny" / "weights.bin", weights_only=False)
    assert victim.exists(), "the same file does run code where that is allowed"


def test_a_bare_pickle_is_refused_and_runs_no_code(tmp_path):
    with pytest.raises(CiaoError, match="is not loaded"):
        loaded(tmp_path, pickle.dumps(Malicious(tmp_path / "created")))
    assert not (tmp_path / "created").exists()


def test_a_pickled_module_is_refused(tmp_path):
    with pytest.raises(CiaoError, match="loading it would run code"):
        loaded(tmp_path, saved(nn.Linear(2, 2)))


def test_torchscript_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "program.zip", "w") as archive:
        for name in ("constants.pkl", "data.pkl", "code/__torch__.py"):
            archive.writestr(f"model/{name}", b"")
    with pytest.raises(CiaoError, match="it is a TorchScript program"):
        loaded(tmp_path, (tmp_path / "program.zip").read_bytes())


@pytest.mark.parametrize(
    ("body", "about", "message"),
    [
        (b"", {}, "cannot be read"),
        (saved(TENSORS).replace(b"PK\1\2", b"PK!!"), {}, "cannot be read"),
        (saved(TENSORS, _use_new_zipfile_serialization=False)[:-4], {}, "cannot be read"),
        (BODY, {"format": "safetensors"}, "not a readable safetensors file"),
        (saved([1, 2]), {}, "holds no named tensors:"),
        (saved({"epoch": 3}), {"key": "state_dict"}, "holds no named tensors under 'state_dict'"),
        (saved(TENSORS), {"format": "h5 in tar.xz"}, "h5 in tar.xz cannot be read here; see https://"),
    ],
)
def test_a_file_without_tensors_is_refused_in_one_line(tmp_path, body, about, message):
    with pytest.raises(CiaoError, match=message) as caught:
        loaded(tmp_path, body, **about)
    assert "weights_only" not in str(caught.value), "torch's advice to disable weights_only is not repeated"


# --- the command


def test_the_list_shows_every_entry_and_its_state(only_tiny, tmp_path, capsys):
    assert command() == 0
    with serving(Site(BODY)) as url:
        one = only_tiny(url=url, megabytes=3)
        assert command() == 0
        fetch(one, tmp_path)
        assert command() == 0
        (tmp_path / "tiny" / "weights.bin").write_bytes(b"damaged")
        assert command() == 0
    shown = capsys.readouterr().out
    for known in ("vggface", "hsemotion-b0", "facenet-vggface2", "facenet-casia", "msceleb-resnet18", "clip-vit-b32",
                  "clip-vit-b16", "farl-b16", "facechannel", "112 MB", "16 MB", "unknown"):  # fmt: skip
        assert known in shown
    rows = [line for line in shown.splitlines() if line.startswith("tiny")]
    assert [" ".join(row.split()[3:-1]) for row in rows] == ["not here", "here", "changed"]
    assert rows[0].split()[:3] == ["tiny", "3", "MB"]
    assert "    licence     CC0\n    trained on  nobody\n" in shown


def test_the_command_shows_the_licence_and_fetches(only_tiny, tmp_path, capsys):
    with serving(Site(BODY)) as url:
        only_tiny(url=url, note="mind the gap")
        assert command("tiny") == 0
        out = capsys.readouterr()
        for line in (
            "licence: CC0",
            "trained on: nobody",
            "note: mind the gap",
            f"tiny is here: {tmp_path}/tiny/weights.bin",
        ):
            assert line in out.out
        assert "tiny (MB)" in out.err
        assert "3/3" in out.err
        assert command("tiny") == 0
        assert capsys.readouterr().out == f"tiny is here: {tmp_path}/tiny/weights.bin\n"


def test_the_command_keeps_files_in_the_given_folder(only_tiny, tmp_path, capsys):
    with serving(Site(BODY)) as url:
        only_tiny(url=url)
        assert command("tiny", "--to", tmp_path / "elsewhere") == 0
    assert (tmp_path / "elsewhere" / "tiny" / "weights.bin").read_bytes() == BODY
    assert f"CIAO_WEIGHTS={tmp_path}/elsewhere" in capsys.readouterr().out


def test_the_command_copies_a_given_file(only_tiny, tmp_path, capsys):
    only_tiny(url=None, sha256=None, format="safetensors")
    save_file(TENSORS, tmp_path / "mine.safetensors")
    assert command("tiny") == 2
    assert "run python -m ciao_stream.data weights tiny --file weights.bin" in capsys.readouterr().err
    assert command("tiny", "--file", tmp_path / "mine.safetensors") == 0
    assert weights_path("tiny").read_bytes() == (tmp_path / "mine.safetensors").read_bytes()
    assert command("--file", tmp_path / "mine.safetensors") == 2
    assert "--file needs the NAME" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["option", "environment"])
def test_offline_never_uses_the_network(only_tiny, tmp_path, capsys, monkeypatch, how):
    offline = ["--offline"] if how == "option" else []
    site = Site(BODY)
    with serving(site) as url:
        one = only_tiny(url=url)
        with monkeypatch.context() as patch:
            if how == "environment":
                patch.setenv("CIAO_OFFLINE", "1")
            assert command("tiny", *offline) == 2
            error = capsys.readouterr().err
            assert error.startswith(f"error: offline, and {tmp_path}/tiny/weights.bin is missing: run python -m ")
            assert url in error
            assert site.seen == []
        fetch(one, tmp_path)
        assert command("tiny", *offline) == 0
    assert len(site.seen) == 1


def test_a_folder_that_cannot_be_written_is_one_line(only_tiny, tmp_path, capsys):
    only_tiny()
    (tmp_path / "taken").write_text("a file")
    assert command("tiny", "--to", tmp_path / "taken") == 2
    assert capsys.readouterr().err.startswith("error: cannot write in ")


# --- processes that are killed or interrupted

DRIVER = """
import argparse, json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from ciao_stream.data import weights as weights_command
from ciao_stream.encoders.weights import manifest
manifest.ENTRIES = (manifest.Entry(**json.loads(sys.argv[1])),)
parser = argparse.ArgumentParser()
weights_command.add_parser(parser.add_subparsers())
sys.exit(weights_command.main(parser.parse_args(["weights", *sys.argv[2:]])))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_is_stopped_leaves_no_half_file(tmp_path, how):
    site = Site(BODY, statuses=[503], hold_after=2 * 2**20)
    with serving(site) as url:
        line = [sys.executable, "-c", DRIVER, json.dumps(vars(entry(url))), "tiny", "--to", str(tmp_path)]
        stopped = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        assert site.held.wait(120)
        stopped.send_signal(how)
        _, error = stopped.communicate(timeout=120)
        if how == signal.SIGINT:
            assert stopped.returncode == 130
            assert "the server answered 503 Service Unavailable; trying again in 1 s" in error
            assert f"interrupted; resume with: python -m ciao_stream.data weights tiny --to {tmp_path}" in error
            assert left(tmp_path) == []
        else:
            (temporary,) = (tmp_path / "tiny").glob("tmp*")
            os.utime(temporary, (0, 0))
        site.go.set()
        assert fetch(entry(url), tmp_path).read_bytes() == BODY
    assert left(tmp_path) == ["weights.bin"]
