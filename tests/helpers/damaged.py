"""One test for every damaged data set: a table of what is done to a valid one, and the line that must come of it.

A table is ``{name: (damage, part of the line[, label rule])}``; a damage takes the data root. ``TMP`` in the line is
that folder. All names of files below are relative to it and may hold ``*``; they then mean all (or the first) that
match.
"""

import functools
import shutil
import tempfile
from pathlib import Path

import pytest

from ciao_stream.exceptions import DataError


def error_line(load, *args, kind=DataError, longest=600):
    """The message of the error that ``load`` raises: one line, of that very class."""
    with pytest.raises(kind) as caught:
        load(*args)
    message = str(caught.value)
    assert type(caught.value) is kind
    assert "\n" not in message
    assert len(message) < longest
    return message


def damaged_test(write, loads, table, home="", **line):
    """Return a test with one case per row of ``table``.

    Args:
        write: Writes a valid data set into a folder; it is called once.
        loads: Functions that take the folder (and a label rule) and must all raise the same line.
        table: See the module.
        home: Folder of the data set, relative to the data root; the line must name it.
        line: Further arguments of :func:`error_line`.
    """

    @functools.cache
    def whole(base):
        root = Path(tempfile.mkdtemp(dir=base))
        write(root)
        return root

    @functools.cache
    def loads_undamaged(root, *rule):
        for load in loads:
            load(root, *rule)

    @pytest.mark.parametrize("case", table)
    def test(tmp_path, tmp_path_factory, case):
        damage, expected, *rule = table[case]
        valid = whole(tmp_path_factory.getbasetemp())
        loads_undamaged(valid, *rule)
        root = shutil.copytree(valid, tmp_path / "root")
        damage(root)
        first, *others = (error_line(load, root, *rule, **line) for load in loads)
        assert expected.replace("TMP", str(root)) in first
        assert str(root / home) in first
        assert all(other == first for other in others)

    return test


def unreadable_test(write, load, name):
    """Return a test in which image file ``name`` is damaged: the error names it when it is read, not before."""
    contents = {
        "cut": (lambda old: old[: len(old) // 2], "not a whole image"),
        "cut at the end": (lambda old: old[:-60], "not a whole image"),
        "empty": (lambda _: b"", "an empty file; get the file again"),
        "html": (lambda _: b"<html>", "not a whole image (6 bytes); get the file again"),
        "vanished": (None, "cannot be read (No such file or directory)"),
    }

    @pytest.mark.parametrize("case", contents)
    def test(tmp_path, case):
        content, what = contents[case]
        write(tmp_path)
        path = first(tmp_path, name)
        if content:
            path.write_bytes(content(path.read_bytes()))
        data = load(tmp_path)
        if not content:
            path.unlink()
        assert f"{path}: {what}" in error_line(read_all, data)

    return test


def read_all(data):
    for split in data.splits():
        for index in range(len(split)):
            split.image(index)


# --- kinds of damage -------------------------------------------------------------------------------------------------


def first(root, name):
    return min(root.glob(name))


def several(*damages):
    return lambda root: [damage(root) for damage in damages]


def remove(*names):
    """Remove files and folders."""

    def damage(root):
        paths = {path for name in names for path in root.glob(name)}
        assert paths
        for path in paths:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


def move(old, new):
    """Move a file or folder."""

    def damage(root):
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        first(root, old).rename(root / new)

    return damage


def copy(old, new):
    """Copy a file."""

    def damage(root):
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(first(root, old), root / new)

    return damage


def write(name, content=b"x"):
    """Write a file, in place of what had that name."""

    def damage(root):
        if (root / name).is_dir():
            shutil.rmtree(root / name)
        (root / name).write_bytes(content)

    return damage


def empty(name):
    """Have an empty folder, in place of what had that name."""

    def damage(root):
        if (root / name).exists():
            remove(name)(root)
        (root / name).mkdir(parents=True)

    return damage


def change(name, new_content):
    """Replace a file's content, bytes, by ``new_content(content)``."""

    def damage(root):
        path = first(root, name)
        path.write_bytes(new_content(path.read_bytes()))

    return damage


def encode(name, encoding):
    """Replace UTF-8 by another encoding."""
    return change(name, lambda content: content.decode().encode(encoding))


def change_lines(name, new_lines):
    """Replace a file's lines by ``new_lines(lines)``; the line break after the last one is kept."""

    def edit(content):
        text = content.decode()
        return ("\n".join(new_lines(text.removesuffix("\n").split("\n"))) + "\n" * text.endswith("\n")).encode()

    return change(name, edit)


def set_line(name, number, text):
    """Replace line ``number``, from 1."""
    return change_lines(name, lambda lines: [*lines[: number - 1], text, *lines[number:]])


def set_cell(name, number, column, text):
    """Replace one cell of line ``number``, from 1, of a csv file."""

    def edit(lines):
        cells = lines[number - 1].split(",")
        cells[column] = text
        return [*lines[: number - 1], ",".join(cells), *lines[number:]]

    return change_lines(name, edit)
