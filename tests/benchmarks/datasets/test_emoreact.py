import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets import emoreact
from benchmarks.synthetic.readings import SPECS
from benchmarks.tasks import load_task
from ciao_stream.faces.dataset import SPLITS
from ciao_stream.faces.readers.video_frames import moments
from tests.helpers.emoreact_files import PLACES, STEMS, coloured, rewrite_lines, seen_in, write_clip, write_emoreact

LABELS = ("curiosity", "uncertainty", "excitement", "happiness", "surprise", "disgust", "fear", "frustration")


def check(data, truth, per_clip):
    """Every frame shows the clip, the split and the moment that it should, and carries that clip's labels."""
    for number, (split, dataset) in enumerate(zip(SPLITS, data.splits(), strict=True)):
        assert len(dataset) == len(truth[split]) * per_clip
        for i in range(len(dataset)):
            clip, frame = divmod(i, per_clip)
            named = truth[split][clip]
            assert seen_in(dataset.image(i)) == (moments(per_clip, named.frames)[frame], clip, number)
            assert tuple(dataset.targets[i].astype(int)) == named.labels
            assert dataset.groups[i] == clip


# --- labels and frames -----------------------------------------------------------------------------------------------


def test_the_official_layout(tmp_path):
    truth = write_emoreact(tmp_path)
    data = emoreact.load(tmp_path)
    check(data, truth, 10)
    assert (data.spec.name, data.spec.kind, data.spec.labels) == ("emoreact", "multilabel", LABELS)
    assert data.protocol == "official splits; subject overlap unknown"
    assert data.published == {"train": 432, "validation": 303, "test": 367}
    for dataset in data.splits():
        assert dataset.targets.dtype == np.float32
        assert dataset.rows.dtype == dataset.groups.dtype == np.int64
        assert dataset.n_judged() == 4
        assert (dataset.source, dataset.framing, dataset.subjects) == ("real", "photo", None)
        assert dataset.label_rule == "clip labels, 10 frames per clip"
        assert dataset.dropped == {"clip without labels": 0}
        assert (dataset.targets.max(axis=0) == 1).all()
        assert (dataset.targets.min(axis=0) == 0).all()


def test_the_task_is_that_of_the_synthetic_world():
    assert SPECS["emoreact"] == emoreact.SPEC


@pytest.mark.parametrize("rule", emoreact.RULES)
def test_frames_per_clip(tmp_path, rule):
    truth = write_emoreact(tmp_path)
    data = load_task(f"emoreact:{rule}", tmp_path)
    check(data, truth, int(rule))
    assert data.train.n_judged() == 4
    plural = "" if rule == "1" else "s"
    assert data.test.label_rule == f"clip labels, {rule} frame{plural} per clip"


# --- names pair with labels line by line, whatever the order of the folder -------------------------------------------


def listed(folder):
    return [entry.name for entry in os.scandir(folder)]


def test_the_names_are_not_in_the_order_of_any_listing(tmp_path):
    """Otherwise the tests below could not detect pairing by directory order."""
    for split, clips in write_emoreact(tmp_path, clips=8).items():
        names = [clip.name for clip in clips]
        folder = tmp_path / "emoreact" / "Data" / PLACES[split][0]
        assert sorted(names) == sorted(listed(folder))
        assert names not in (sorted(names), sorted(names, reverse=True), listed(folder), listed(folder)[::-1])


@pytest.mark.parametrize("clips", [2, 4, 8, 12])
def test_the_order_of_the_folder_changes_nothing(tmp_path, clips):
    truth = write_emoreact(tmp_path / "a", clips=clips)
    assert truth == write_emoreact(tmp_path / "b", clips=clips, reverse=True)
    one, other = emoreact.load(tmp_path / "a", "5"), emoreact.load(tmp_path / "b", "5")
    check(one, truth, 5)
    check(other, truth, 5)
    for first, second in zip(one.splits(), other.splits(), strict=True):
        assert first.images.fingerprint == second.images.fingerprint
        assert first.images.names == second.images.names
        assert first.targets.tolist() == second.targets.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_no_order_in_which_the_file_system_lists_matters(tmp_path, monkeypatch, seed):
    truth = write_emoreact(tmp_path, clips=8)
    rng, iterdir = np.random.default_rng(seed), Path.iterdir

    def shuffled(folder):
        entries = list(iterdir(folder))
        return iter([entries[i] for i in rng.permutation(len(entries))])

    monkeypatch.setattr(Path, "iterdir", shuffled)
    check(emoreact.load(tmp_path, "1"), truth, 1)


@pytest.mark.parametrize("seed", range(3))
def test_lines_may_stand_in_any_order_if_both_files_agree(tmp_path, seed):
    truth = write_emoreact(tmp_path, clips=8)
    order = np.random.default_rng(seed).permutation(8)
    for name in ("Train_names.txt", "train_labels.text"):
        rewrite_lines(tmp_path / "emoreact" / "Labels" / name, lambda lines: [lines[i] for i in order])
    train = emoreact.load(tmp_path, "1").train
    assert [seen_in(train.image(i))[1] for i in range(8)] == order.tolist()
    assert [tuple(row.astype(int)) for row in train.targets] == [truth["train"][i].labels for i in order]


def test_labels_in_another_order_land_on_other_clips(tmp_path):
    truth = write_emoreact(tmp_path)
    rewrite_lines(tmp_path / "emoreact" / "Labels" / "test_labels.text", lambda lines: lines[::-1])
    test = emoreact.load(tmp_path, "1").test
    assert [seen_in(test.image(i))[1] for i in range(4)] == [0, 1, 2, 3]
    assert [tuple(row.astype(int)) for row in test.targets] == [clip.labels for clip in truth["test"]][::-1]


# --- layouts ---------------------------------------------------------------------------------------------------------

PLACES_IN_THE_WILD = [
    "emoreact", "EmoReact", "EMOREACT", "EmoReact_V_1.0", "emoreact_v_1.0", "emoreact/EmoReact_V_1.0",
    "EmoReact/EmoReact_V_1.0",
]  # fmt: skip


@pytest.mark.parametrize("folder", PLACES_IN_THE_WILD)
@pytest.mark.parametrize(("names_in", "suffix"), [("Labels", ".text"), (".", ".txt")])
def test_places(tmp_path, folder, names_in, suffix):
    truth = write_emoreact(tmp_path, folder=folder, names_in=names_in, suffix=suffix, clips=2)
    check(emoreact.load(tmp_path, "1"), truth, 1)


def test_a_folder_without_clips_does_not_hide_another(tmp_path):
    (tmp_path / "emoreact").mkdir()
    truth = write_emoreact(tmp_path, folder="EmoReact", clips=2)
    check(emoreact.load(tmp_path, "1"), truth, 1)


def test_case_does_not_matter(tmp_path):
    truth = write_emoreact(tmp_path)
    base = tmp_path / "emoreact"
    (base / "Labels" / "Train_names.txt").rename(base / "Labels" / "train_names.txt")
    (base / "Labels" / "Val_names.txt").rename(base / "VAL_NAMES.TXT")
    (base / "Labels" / "test_labels.text").rename(base / "Labels" / "Test_Labels.txt")
    (base / "Labels").rename(base / "labels")
    (base / "Data" / "Validation").rename(base / "Data" / "validation")
    (base / "Data").rename(base / "data")
    check(emoreact.load(tmp_path, "1"), truth, 1)


def write_both(folder, name, change):
    for file in (f"{name}_names.txt", f"{name.lower()}_labels.text"):
        path = folder / "emoreact" / "Labels" / file
        path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.rstrip(b"\n"),
        lambda raw: raw.rstrip(b"\n") + b"\n",
        lambda raw: raw.rstrip(b"\n") + b"\n\n \n\r\n",
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.replace(b"\n", b" \n"),
    ],
    ids=["no newline at the end", "newline", "blank lines at the end", "crlf", "byte order mark", "blanks"],
)
def test_ends_of_lines(tmp_path, change):
    truth = write_emoreact(tmp_path)
    for name in ("Train", "Val", "Test"):
        write_both(tmp_path, name, change)
    check(emoreact.load(tmp_path, "1"), truth, 1)


def test_the_last_name_has_no_newline(tmp_path):
    """A public loader loses that line."""
    truth = write_emoreact(tmp_path)
    assert not (tmp_path / "emoreact" / "Labels" / "Train_names.txt").read_text().endswith("\n")
    assert emoreact.load(tmp_path).train.images.names[-1] == truth["train"][-1].name


def test_names_with_apostrophes_commas_and_letters_beyond_ascii(tmp_path):
    truth = write_emoreact(tmp_path)
    text = (tmp_path / "emoreact" / "Labels" / "Train_names.txt").read_text().split("\n")
    assert text == [
        "'it''s alive_3_train.mp4'", "'ZOO, a fish!_1_train.mp4'", "'''tis_2_train.mp4'", "'Crème_10_train.mp4'",
    ]  # fmt: skip
    assert emoreact.load(tmp_path).train.images.names == tuple(f"{stem}_train.mp4" for stem in STEMS)
    check(emoreact.load(tmp_path, "1"), truth, 1)


def test_names_without_quotes(tmp_path):
    truth = write_emoreact(tmp_path)
    path = tmp_path / "emoreact" / "Labels" / "Val_names.txt"
    path.write_text("it's alive_3_validation.mp4\n" + path.read_text().split("\n", 1)[1])
    check(emoreact.load(tmp_path, "1"), truth, 1)


def test_spaces_between_labels_and_whole_valences(tmp_path):
    truth = write_emoreact(tmp_path)
    path = tmp_path / "emoreact" / "Labels" / "train_labels.text"
    rewrite_lines(path, lambda lines: [line.rpartition(",")[0].replace(",", ", ") + ", 7" for line in lines])
    check(emoreact.load(tmp_path, "1"), truth, 1)


def test_a_clip_may_show_none_of_the_emotions_or_all(tmp_path):
    write_emoreact(tmp_path)
    path = tmp_path / "emoreact" / "Labels" / "train_labels.text"
    rewrite_lines(path, lambda lines: ["0,0,0,0,0,0,0,0,4.0", "1,1,1,1,1,1,1,1,1", *lines[2:]])
    assert emoreact.load(tmp_path, "1").train.targets[:2].sum(axis=1).tolist() == [0, 8]


def test_clips_without_labels_are_counted(tmp_path):
    truth = write_emoreact(tmp_path)
    train = tmp_path / "emoreact" / "Data" / "Train"
    for name in ("aaa.mp4", "Zzz.MP4", "m.avi"):
        write_clip(train / "new.mp4", [coloured(0, 9)] * 3).rename(train / name)
    for name in (".DS_Store", "._it's alive_3.mp4", "Thumbs.db", "list.txt"):
        (train / name).write_text("no clip")
    (train / "frames.mp4").mkdir()
    data = emoreact.load(tmp_path, "1")
    assert [d.dropped["clip without labels"] for d in data.splits()] == [3, 0, 0]
    check(data, truth, 1)


# --- lazy, picklable -------------------------------------------------------------------------------------------------


def test_pickle_and_determinism(tmp_path):
    truth = write_emoreact(tmp_path)
    data, again = emoreact.load(tmp_path), emoreact.load(tmp_path)
    data.train.image(3)
    copy = pickle.loads(pickle.dumps(data))
    assert len(pickle.dumps(data.train.images)) < 1000
    check(copy, truth, 10)
    for one, two, three in zip(data.splits(), again.splits(), copy.splits(), strict=True):
        assert one.images.fingerprint == two.images.fingerprint == three.images.fingerprint
        assert all(np.array_equal(one.image(i), two.image(i)) for i in range(0, 40, 7))


def test_the_number_of_frames_is_part_of_the_fingerprint(tmp_path):
    write_emoreact(tmp_path)
    assert len({emoreact.load(tmp_path, rule).train.images.fingerprint for rule in emoreact.RULES}) == 4


def test_faces_in_the_miniature(tmp_path):
    truth = write_emoreact(tmp_path, faces=True, clips=6)
    data = emoreact.load(tmp_path, "5")
    for split, dataset in zip(SPLITS, data.splits(), strict=True):
        assert dataset.n_judged() == len(truth[split]) >= 6
        assert (dataset.targets.max(axis=0) - dataset.targets.min(axis=0) == 1).all()
        assert dataset.image(0).shape == (96, 96, 3)
        assert dataset.image(0).std() > 20
