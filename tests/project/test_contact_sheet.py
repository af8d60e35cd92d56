"""scripts/contact_sheet.py, which draws docs/worlds.png."""

import sys

import cv2
import numpy as np

from benchmarks.synthetic.readings import CLASS_WORLDS
from ciao_stream.faces.task import EMOTIONS
from scripts.contact_sheet import contact_sheet, main


def test_the_contact_sheet_is_white_at_its_rim_and_says_synthetic(monkeypatch):
    from matplotlib.axes import Axes

    written = []
    write = Axes.text

    def note(self, x, y, text, **style):
        written.append(text)
        return write(self, x, y, text, **style)

    monkeypatch.setattr(Axes, "text", note)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it would fail
    sheet = contact_sheet()
    assert sheet.dtype == np.uint8
    assert sheet.shape[1:] == (1196, 3)
    assert all((edge == 255).all() for edge in (sheet[:9], sheet[-9:], sheet[:, :9], sheet[:, -9:]))
    assert sum("synthetic" in text for text in written) == 2
    assert set(written) >= {*CLASS_WORLDS, *EMOTIONS, "emoreact", "all agree", "4 different words"}


def test_the_command_writes_the_sheet_or_says_why_not(tmp_path, monkeypatch, capsys):
    page = np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8)
    monkeypatch.setattr("scripts.contact_sheet.contact_sheet", lambda: page)
    assert main([str(tmp_path / "new" / "sheet.png")]) == 0
    assert np.array_equal(cv2.imread(str(tmp_path / "new" / "sheet.png"))[:, :, ::-1], page)
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr() == (
        "",
        f"error: cannot write {tmp_path}: it is not a regular file; choose another path\n",
    )
