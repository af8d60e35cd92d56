from itertools import cycle, islice

import numpy as np
import pytest

from benchmarks.own import csv_file as own_csv
from benchmarks.protocols.splits import hold_out_groups
from ciao_stream.checks.dataset import check_dataset
from ciao_stream.faces.task import EMOTIONS
from tests.helpers.own_files import SIZE, image_of, labels_seen, save, seen, write_own_csv

N = 60
FILES = [f"faces/{n:02d}.png" for n in range(N)]
SPLIT = ["train"] * 30 + ["val"] * 10 + ["Test"] * 20


def repeat(*values, n=N):
    return list(islice(cycle(values), n))


def rows_of(data):
    """Split -> {file}."""
    return {faces.split: {data.train.images.names[row] for row in faces.rows} for faces in data.splits()}


# --- the four forms of targets ---------------------------------------------------------------------------------------


def test_labels_that_are_emotions(tmp_path):
    words = {"joy": "happiness", "Happy": "happiness", "angry": "anger", "neutral": "neutral"}
    labels = repeat(*words)
    path = write_own_csv(tmp_path, {"file": FILES, "label": labels, "split": SPLIT})
    data = own_csv.load(path)
    truth = {name: words[label] for name, label in zip(FILES, labels, strict=True)}
    assert labels_seen(data, FILES) == {
        "train": {name: truth[name] for name in FILES[:30]},
        "validation": {name: truth[name] for name in FILES[30:40]},
        "test": {name: truth[name] for name in FILES[40:]},
    }
    assert (data.spec.name, data.spec.kind) == ("mine", "categorical")
    assert data.spec.labels == ("neutral", "happiness", "anger")
    assert data.protocol == "splits as given"
    for faces in data.splits():
        assert (faces.source, faces.label_rule, faces.framing) == ("real", "as annotated", "face")
        assert (faces.dropped, faces.subjects, faces.groups) == ({}, None, None)


def test_labels_of_ones_own(tmp_path):
    labels = repeat("tired", "Bored", "happy", "zen, or so")
    path = write_own_csv(tmp_path, {"file": FILES, "label": labels})
    data = own_csv.load(path)
    assert data.spec.labels == ("Bored", "happy", "tired", "zen, or so")
    found = labels_seen(data, FILES)
    assert found["train"] | found["validation"] | found["test"] == dict(zip(FILES, labels, strict=True))


def test_votes_become_shares_in_canonical_order(tmp_path):
    columns = {"votes:sad": repeat(1, 0, 2.5), "votes:Joy": repeat(3, 4, 0), "votes:neutral": repeat(0, 4, 7.5)}
    path = write_own_csv(tmp_path, {"file": FILES, **columns})
    data = own_csv.load(path)
    assert (data.spec.kind, data.spec.labels) == ("votes", ("neutral", "happiness", "sadness"))
    assert data.train.targets.dtype == np.float32
    shares = repeat((0.0, 0.75, 0.25), (0.5, 0.5, 0.0), (0.75, 0.0, 0.25))
    found = seen(data, FILES)
    assert found["train"] | found["validation"] | found["test"] == dict(zip(FILES, shares, strict=True))


def test_votes_for_classes_of_ones_own_keep_the_order_of_columns(tmp_path):
    path = write_own_csv(tmp_path, {"file": FILES, "votes:zen": repeat(1), "votes:happy": repeat(3)})
    data = own_csv.load(path)
    assert data.spec.labels == ("zen", "happy")
    assert np.unique(data.test.targets, axis=0).tolist() == [[0.25, 0.75]]


def test_values(tmp_path):
    columns = {"value:valence": repeat(-1, 0.5, 1, 0.25), "file": FILES, "value:Arousal": repeat(0, "1e-1")}
    path = write_own_csv(tmp_path, columns)
    data = own_csv.load(path)
    assert (data.spec.kind, data.spec.labels) == ("dimensional", ("valence", "Arousal"))
    assert data.train.targets.dtype == np.float32
    found = seen(data, FILES)
    tenth = float(np.float32(0.1))
    values = repeat((-1.0, 0.0), (0.5, tenth), (1.0, 0.0), (0.25, tenth))
    assert found["train"] | found["validation"] | found["test"] == dict(zip(FILES, values, strict=True))
    assert [len(faces) for faces in data.splits()] == [43, 5, 12]
    assert data.protocol == "test (20 %) and validation (10 %) carved by file"


def test_values_named_like_emotions_keep_their_names_and_order(tmp_path):
    path = write_own_csv(tmp_path, {"file": FILES, "value:Sad": repeat(1), "value:happy": repeat(0)})
    assert own_csv.load(path).spec.labels == ("Sad", "happy")


def test_labels_several_at_once(tmp_path):
    path = write_own_csv(tmp_path, {"file": FILES, "has:fear": repeat(0, 1), "has:happy": repeat(1, 1, 0)})
    data = own_csv.load(path)
    assert (data.spec.kind, data.spec.labels) == ("multilabel", ("happiness", "fear"))
    found = seen(data, FILES)
    truth = dict(zip(FILES, zip(repeat(1.0, 1.0, 0.0), repeat(0.0, 1.0), strict=True), strict=True))
    assert found["train"] | found["validation"] | found["test"] == truth


def test_labels_of_which_some_are_no_emotions_keep_their_order(tmp_path):
    path = write_own_csv(tmp_path, {"file": FILES, "has:fear": repeat(0, 1), "has:curious": repeat(1, 0, 0)})
    assert own_csv.load(path).spec.labels == ("fear", "curious")


# --- splits ----------------------------------------------------------------------------------------------------------


def test_carved_splits_are_stratified(tmp_path):
    path = write_own_csv(tmp_path, {"file": FILES, "label": repeat("happy", "sad", "sad")})
    data = own_csv.load(path)
    assert [faces.counts() for faces in data.splits()] == [
        {"happiness": 14, "sadness": 28},
        {"happiness": 2, "sadness": 4},
        {"happiness": 4, "sadness": 8},
    ]
    assert data.protocol == "test (20 %) and validation (10 %) carved by file, stratified by class"
    assert data.train.images is data.test.images


def test_the_carved_test_is_fixed_for_all_time(tmp_path):
    path = write_own_csv(tmp_path, {"file": FILES, "value:x": repeat(0)})
    data = own_csv.load(path)
    assert data.test.rows.tolist() == hold_out_groups(FILES, fraction=0.2, seed=1)[1].tolist()
    rest = [FILES[row] for row in range(N) if row not in data.test.rows]
    assert rows_of(data)["validation"] == {rest[i] for i in hold_out_groups(rest, fraction=0.1, seed=0)[1]}


def test_votes_are_stratified_by_the_class_with_most(tmp_path):
    columns = {"votes:happy": repeat(3, 1, 1, 0), "votes:sad": repeat(1, 3, 3, 1)}
    data = own_csv.load(write_own_csv(tmp_path, {"file": FILES, **columns}))
    assert data.test.counts() == {"happiness": 3, "sadness": 9}


def test_carving_does_not_depend_on_the_order_of_rows(tmp_path):
    labels = repeat("happy", "sad")
    order = np.random.default_rng(0).permutation(N)
    one = own_csv.load(write_own_csv(tmp_path / "a", {"file": FILES, "label": labels}))
    shuffled = {"file": [FILES[i] for i in order], "label": [labels[i] for i in order]}
    other = own_csv.load(write_own_csv(tmp_path / "b", shuffled))
    assert rows_of(one) == rows_of(other)
    assert labels_seen(one, FILES) == labels_seen(other, FILES)


def test_validation_alone_is_carved_where_it_has_no_rows(tmp_path):
    split = ["train"] * 40 + ["test"] * 20
    path = write_own_csv(tmp_path, {"file": FILES, "label": repeat("happy", "sad"), "split": split})
    data = own_csv.load(path)
    found = rows_of(data)
    assert found["test"] == set(FILES[40:])
    assert found["train"] | found["validation"] == set(FILES[:40])
    assert data.validation.counts() == {"happiness": 2, "sadness": 2}
    assert data.protocol == (
        "train and test as given; validation (10 %) carved from train by file, stratified by class"
    )


@pytest.mark.parametrize("given", [False, True])
def test_whole_subjects_are_carved(tmp_path, given):
    subjects = [f"s{n // 4}" for n in range(N)]
    columns = {"file": FILES, "label": repeat("happy", "sad"), "subject": subjects}
    if given:
        columns["split"] = ["train"] * 40 + ["test"] * 20
    data = own_csv.load(write_own_csv(tmp_path, columns))
    who = [set(faces.subjects) for faces in data.splits()]
    assert len(who[0]) + len(who[1]) + len(who[2]) == len(set(subjects)) == 15
    assert data.shared_subjects() == []
    assert [len(faces) for faces in data.splits()] == ([36, 4, 20] if given else [40, 8, 12])
    for faces in data.splits():
        assert [subjects[row] for row in faces.rows] == faces.subjects.tolist()
    assert data.protocol.endswith("carved from train by whole subjects" if given else "carved by whole subjects")


def test_subjects_of_splits_as_given_may_be_shared_and_are_told(tmp_path):
    columns = {"file": FILES, "label": repeat("happy", "sad"), "subject": repeat("ann", "bob"), "split": SPLIT}
    data = own_csv.load(write_own_csv(tmp_path, columns))
    assert data.shared_subjects() == ["ann", "bob"]
    assert data.protocol == "splits as given; identities shared by train and test: 2"


@pytest.mark.parametrize("form", ["label", "value:x"])
def test_groups_are_never_torn_apart(tmp_path, form):
    groups = [f"clip {n // 3}" for n in range(N)]
    targets = [("happy", "sad")[n // 3 % 2] if form == "label" else n // 3 / 20 for n in range(N)]
    data = own_csv.load(write_own_csv(tmp_path, {"file": FILES, form: targets, "group": groups}))
    found = [{groups[row] for row in faces.rows} for faces in data.splits()]
    assert [len(of) for of in found] == [14, 2, 4]
    assert [faces.n_judged() for faces in data.splits()] == [14, 2, 4]
    assert sum(len(of) for of in found) == len(set.union(*found))
    for faces in data.splits():
        pairs = {(groups[row], int(number)) for row, number in zip(faces.rows, faces.groups, strict=True)}
        assert len(pairs) == len({group for group, _ in pairs}) == len({number for _, number in pairs})
    how = "by whole groups" + (", stratified by class" if form == "label" else "")
    assert data.protocol == f"test (20 %) and validation (10 %) carved {how}"


def test_groups_stay_with_their_subjects(tmp_path):
    columns = {
        "file": FILES,
        "value:x": [n // 2 / 30 for n in range(N)],
        "group": [f"clip {n // 2}" for n in range(N)],
        "subject": [f"s{n // 6}" for n in range(N)],
    }
    data = own_csv.load(write_own_csv(tmp_path, columns))
    assert data.shared_subjects() == []
    assert [faces.n_judged() for faces in data.splits()] == [24 - 3, 3, 6]


# --- images ----------------------------------------------------------------------------------------------------------


def test_boxes_cut_the_images(tmp_path):
    n = 12
    columns = {
        "file": FILES[:n],
        "label": repeat("happy", "sad", n=n),
        "x": [8, *repeat(16, n=n - 2), ""],
        "y": [4, *repeat("31.6", n=n - 2), ""],
        "width": [20, *repeat(16, n=n - 2), ""],
        "height": [100, *repeat(16, n=n - 2), ""],
    }
    data = own_csv.load(write_own_csv(tmp_path, columns))
    image = {int(row): faces.image(i) for faces in data.splits() for i, row in enumerate(faces.rows)}
    assert image[0].shape == (SIZE - 4, 20, 3)
    assert (image[0][..., 0] == image_of(FILES[0])[4:, 8:28]).all()
    assert (image[1][..., 0] == image_of(FILES[1])[32:48, 16:32]).all()
    assert (image[n - 1][..., 0] == image_of(FILES[n - 1])).all()


def test_several_faces_of_a_photo_stay_in_one_split(tmp_path):
    files = [f"photo{n // 3}.png" for n in range(N)]
    spelled = [f"{('', './', 'x/../')[n % 3]}{file}" for n, file in enumerate(files)]
    (tmp_path / "x").mkdir()
    columns = {
        "file": spelled,
        "label": [("happy", "sad")[n // 3 % 2] for n in range(N)],
        "x": repeat(0, 16, 32),
        "y": repeat(0),
        "width": repeat(16),
        "height": repeat(16),
    }
    path = write_own_csv(tmp_path, columns)
    save(tmp_path, files)
    data = own_csv.load(path)
    found = [{files[row] for row in faces.rows} for faces in data.splits()]
    assert [len(of) for of in found] == [14, 2, 4]
    assert sum(len(faces) for faces in data.splits()) == N
    row = int(data.test.rows[1])
    assert (data.test.image(1)[..., 0] == image_of(files[row])[:16, row % 3 * 16 : row % 3 * 16 + 16]).all()


def test_absolute_paths_and_folders_above(tmp_path):
    save(tmp_path / "images", ["a.png", "b.png", "c.png"])
    save(tmp_path / "lists", ["d.png"])
    path = tmp_path / "lists" / "mine.csv"
    lines = ["file,label,split", f"{tmp_path}/images/a.png,happy,train", "../images/b.png,sad,train"]
    path.write_text("\n".join([*lines, "../images/./c.png,sad,test", "./d.png,happy,validation"]))
    data = own_csv.load(path)
    assert labels_seen(data, ["a.png", "b.png", "c.png", "d.png"]) == {
        "train": {"a.png": "happiness", "b.png": "sadness"},
        "validation": {"d.png": "happiness"},
        "test": {"c.png": "sadness"},
    }
    assert len(data.train.images.fingerprint) == 64


# --- the file --------------------------------------------------------------------------------------------------------


def test_spreadsheets(tmp_path):
    """A byte order mark, DOS line ends, quotes, blanks, empty lines, a line break in a quoted cell."""
    save(tmp_path, ["a.png", "b, c.png", "d.png"])
    text = (
        '\ufeff"file", label ,split,group\n a.png ,"happy",train, "x\ny"\n\n"b, c.png",Sad ,train,x\nd.png,sad,test,z\n'
    )
    path = tmp_path / "été.csv"
    path.write_bytes(text.replace("\n", "\r\n").encode())
    save(tmp_path, ["e.png"])
    with path.open("ab") as file:
        file.write(b"e.png,happy,valid,w\r\n\r\n")
    data = own_csv.load(path)
    assert data.spec.name == "été"
    assert labels_seen(data, ["a.png", "b, c.png", "d.png", "e.png"]) == {
        "train": {"a.png": "happiness", "b, c.png": "sadness"},
        "validation": {"e.png": "happiness"},
        "test": {"d.png": "sadness"},
    }


def test_the_fingerprint_changes_with_a_box(tmp_path):
    columns = {"file": FILES, "label": repeat("happy", "sad"), "x": repeat(0), "y": repeat(0), "width": repeat(8)}
    one = own_csv.load(write_own_csv(tmp_path, columns | {"height": repeat(8)})).train.images.fingerprint
    other = own_csv.load(write_own_csv(tmp_path, columns | {"height": repeat(9)})).train.images.fingerprint
    assert one != other


def test_all_eight_emotions(tmp_path):
    path = write_own_csv(tmp_path, {"file": FILES, "label": repeat(*reversed(EMOTIONS))})
    assert own_csv.load(path).spec.labels == EMOTIONS


@pytest.mark.parametrize(
    "targets",
    [
        {"label": repeat("happy", "sad")},
        {"votes:sad": repeat(1, 2), "votes:joy": repeat(2, 1)},
        {"value:x": repeat(0, 1)},
        {"has:x": repeat(0, 1)},
    ],
    ids=["label", "votes", "value", "has"],
)
def test_the_contract(tmp_path, targets):
    more = {"subject": repeat("ann", "bob", "eve"), "split": SPLIT, "x": repeat(0), "y": repeat(0)}
    for columns in ({}, more | {"width": repeat(9), "height": repeat(9)}):
        path = write_own_csv(tmp_path, {"file": FILES, **targets, **columns})
        check_dataset(lambda path=path: own_csv.load(path), "mine")
