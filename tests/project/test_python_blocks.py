"""Every Python block of README and docs runs, those of one page in order, as a reader would paste them."""

import json
import re
import sys
import types

import cv2
import numpy as np
import pytest

from ciao_stream.report.embed import EXPLAIN, FORMAT, KINDS
from ciao_stream.report.results import write_results
from tests.helpers import ROOT, documents, own_files

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCKS = {page: re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL) for page in PAGES}


@pytest.fixture
def _reader(tmp_path, monkeypatch):
    """What the pages take for granted: a data set and its module, and finished runs in RUN and runs/my-run."""
    moods = types.ModuleType("benchmarks.datasets.moods")
    exec(BLOCKS[ROOT / "docs" / "datasets.md"][0], moods.__dict__)
    monkeypatch.setitem(sys.modules, moods.__name__, moods)
    own_files.write_own_folder(
        tmp_path / "ROOT", name="moods", splits=("train", "test"), classes=("happy", "sad"), per_class=9
    )
    for run in (tmp_path / "RUN", tmp_path / "runs" / "my-run"):
        write_results(documents.fake_document(seeds=1), run)
    explained = tmp_path / "RUN" / "explain"
    explained.mkdir()
    (explained / "a.png").write_bytes(cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes())
    figures = [{"kind": kind, "title": f"a {kind} figure", "png": "a.png"} for kind in KINDS]
    (explained / EXPLAIN).write_text(json.dumps({"format": FORMAT, "figures": figures}))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_reader")
@pytest.mark.parametrize("page", [page for page, blocks in BLOCKS.items() if blocks], ids=lambda page: page.name)
def test_the_python_blocks_of_a_page_run(page, capsys):
    names = {}
    for block in BLOCKS[page]:
        exec(compile(block, page.name, "exec"), names)
    if page.name == "README.md":
        accuracy, *_ = capsys.readouterr().out.split()
        assert float(accuracy) > 2 / 7  # of seven classes


def test_there_are_blocks_to_run():
    assert sum(map(len, BLOCKS.values())) >= 7
