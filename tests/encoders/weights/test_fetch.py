"""Third-party weights are fetched from a real, faulty server, checked, and whole or absent."""

import contextlib
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys

import pytest

from ciao_stream.encoders.weights import fetch as fetching
from ciao_stream.encoders.weights.fetch import fetch
from ciao_stream.exceptions import CiaoError
from tests.helpers import ROOT
from tests.helpers.http_server import Site, closed_address, serving
from tests.helpers.weights_files import BODY, SHA256, TENSORS, entry, fetched, left, saved

UNKNOWN = {"sha256": None}


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
    path = fetched(Site(BODY, length=length), tmp_path, watched)
    assert path == tmp_path / "tiny" / "weights.bin"
    assert path.read_bytes() == BODY
    assert path.stat().st_mode & 0o777 == 0o644
    assert left(tmp_path) == ["weights.bin"]
    assert len(watched.done) >= 4
    assert sum(watched.done) == pytest.approx(len(BODY) / 1e6)
    assert watched.total == (len(BODY) / 1e6 if length else None)


def test_a_file_is_fetched_again_only_if_it_was_changed(tmp_path):
    site = Site(BODY)
    path = fetched(site, tmp_path)
    fetched(site, tmp_path)
    assert len(site.seen) == 1
    path.write_bytes(b"damaged")
    assert fetched(site, tmp_path).read_bytes() == BODY
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
    assert fetched(Site(BODY, **fault), tmp_path).read_bytes() == BODY
    assert slept == [1, 4][: len(reason)]
    for line, part in zip(caplog.messages, reason, strict=True):
        assert part in line
        assert "trying again in" in line


BLOB = hashlib.sha1(b"blob %d\0" % len(saved(TENSORS)) + saved(TENSORS)).hexdigest()
REFUSED = {
    "404": (Site(BODY, statuses=[404]), {}, "weights.bin: the server answered 404 Not Found; nothing was downloaded"),
    "503": (Site(BODY, statuses=[503] * 3), {}, "the server answered 503 Service Unavailable"),
    "cut": (Site(BODY, cuts=[1_500_000] * 3), {}, "the connection broke"),
    "silent": (Site(BODY, hold_after=0), {}, "the server did not answer in time"),
    "stalled": (Site(BODY, hold_after=1_500_000), {}, "the server did not answer in time"),
    "a web page": (Site(b"\n <!DocType html><p>"), UNKNOWN, "the file is a web page, not weights"),
    "another page": (Site(b"<HTML>"), UNKNOWN, "the file is a web page, not weights"),
    "wrong hash": (Site(BODY), {"sha256": "0" * 64}, f"expected sha256:{'0' * 64} but got {SHA256}$"),
    "wrong git blob": (Site(saved(TENSORS)), {"sha256": None, "git_blob": "0" * 40},
        f"git blob {BLOB} but {'0' * 40} was expected"),
    "empty": (Site(b""), UNKNOWN, "cannot be read as a file of tensors"),
    "text": (Site(b"not tensors"), UNKNOWN, "is not loaded: loading it would run code, or it is not a file of tensors"),
    "half a file": (Site(saved(TENSORS)[:500]), UNKNOWN, "cannot be read as a file of tensors"),
}  # fmt: skip
"""What the server does, what is known of the file, and the error."""


@pytest.mark.parametrize("case", REFUSED)
def test_a_failed_download_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, case):
    monkeypatch.setattr(fetching, "PAUSES", (0, 0))
    monkeypatch.setattr(fetching, "TIMEOUT", (30, 0.3))
    site, about, message = REFUSED[case]
    with pytest.raises(CiaoError, match=message):
        fetched(site, tmp_path, **about)
    assert len(site.seen) == (3 if case in ("503", "cut", "silent", "stalled") else 1)
    assert left(tmp_path) == []


def test_a_server_that_cannot_be_reached_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "PAUSES", ())
    with pytest.raises(CiaoError, match=r"the server cannot be reached \(is there a network\?\)"):
        fetch(entry(closed_address()), tmp_path)


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


# --- hashes that are not known


def test_an_unknown_hash_is_recorded_and_required_from_then_on(tmp_path):
    first, other = saved(TENSORS), saved({"conv.weight": TENSORS["conv.weight"] + 1})
    path = fetched(Site(first), tmp_path, **UNKNOWN)
    record = tmp_path / "tiny" / "recorded.json"
    assert json.loads(record.read_text()) == {"sha256": hashlib.sha256(first).hexdigest()}
    path.unlink()
    with pytest.raises(CiaoError, match=r"recorded at the first fetch; delete .*recorded.json to accept"):
        fetched(Site(other), tmp_path, **UNKNOWN)
    assert left(tmp_path) == ["recorded.json"]
    record.write_text('{"sha1": 1}')
    with pytest.raises(CiaoError, match=r"recorded.json is damaged: delete it"):
        fetched(Site(other), tmp_path, **UNKNOWN)
    record.unlink()
    assert fetched(Site(other), tmp_path, **UNKNOWN).read_bytes() == other


def test_a_file_with_the_git_blob_name_of_the_publisher_is_accepted(tmp_path):
    body = saved(TENSORS)
    assert fetched(Site(body), tmp_path, sha256=None, git_blob=BLOB).read_bytes() == body


# --- a file that the user has


def test_a_given_file_is_copied_recorded_and_required(tmp_path):
    given, other = tmp_path / "mine.pth", tmp_path / "other.pth"
    given.write_bytes(saved({"state_dict": TENSORS, "epoch": 3}))
    other.write_bytes(saved({"state_dict": {"conv.weight": TENSORS["conv.bias"]}}))
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
