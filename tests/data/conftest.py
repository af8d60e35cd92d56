"""``data check`` in this process, and on small data sets whose counts differ from the published ones."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

import ciao_stream.data.check.scan
from ciao_stream.data import __main__ as data


class InThisProcess(ThreadPoolExecutor):
    """Threads in place of worker processes, which take a second to start."""

    def __init__(self, _workers, _context, initializer, initargs):
        super().__init__(1, initializer=initializer, initargs=initargs)


@pytest.fixture
def processes():
    """Requested by tests that need real worker processes."""


@pytest.fixture(autouse=True)
def quick(monkeypatch, request):
    """Use threads, except in tests that request processes."""
    if "processes" not in request.fixturenames:
        monkeypatch.setattr(ciao_stream.data.check.scan, "ProcessPoolExecutor", InThisProcess)


@pytest.fixture(autouse=True)
def miniatures_are_whole(monkeypatch, request):
    """Publish no counts of FER and FER+, except in tests that request them."""
    if "published_counts" not in request.fixturenames:
        monkeypatch.setattr("benchmarks.datasets.fer.PUBLISHED", {})
        monkeypatch.setattr("benchmarks.datasets.fer.PUBLISHED_FOLDERS", {})
        monkeypatch.setattr("benchmarks.datasets.ferplus.published", lambda _: {})


@pytest.fixture
def published_counts():
    """Requested by tests that compare with published counts."""


def refuse(constant):
    raise AssertionError(f"{constant} is not strict JSON")


@pytest.fixture
def check(tmp_path, capsys):
    """Run the command; return exit code, document (None if there is none), stdout and stderr."""

    def run(root, *more):
        out = tmp_path / "out"
        code = data.main(["check", str(root), "--out", str(out), *more])
        report = out / "check.json"
        document = json.loads(report.read_text(), parse_constant=refuse) if report.exists() else None
        streams = capsys.readouterr()
        if document is not None:
            assert f"report: {report}" in streams.out
            assert [line for line in streams.out.split("\n") if line.startswith("WRONG")] == [
                f"WRONG  {f['about']}: {f['text']}" for f in document["findings"] if f["level"] == "wrong"
            ]
        return code, document, streams.out, streams.err

    return run
