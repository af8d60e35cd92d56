import pytest

from benchmarks.datasets import rafdb
from ciao_stream.faces.task import EMOTIONS
from tests.helpers.own_files import labels_seen
from tests.helpers.rafdb_files import aligned, rafdb_labels, write_rafdb, write_rafdb_folders

TRUTH = rafdb_labels()
OF_TEST = {name: label for name, label in TRUTH.items() if name.startswith("test")}
OF_TRAIN = {name: label for name, label in TRUTH.items() if name.startswith("train")}


def by_name(data, rename):
    """Split -> {name in the list: label}, by content."""
    names = {rename(name): name for name in TRUTH}
    return {s: {names[n]: label for n, label in of.items()} for s, of in labels_seen(data, names).items()}


def test_classes_of_the_field_notes():
    assert rafdb.class_map(rafdb.CLASSES, EMOTIONS[:7]).tolist() == [2, 6, 5, 1, 3, 4, 0]


@pytest.mark.parametrize("rule", [None, "aligned", "original"])
def test_every_face_has_its_label(tmp_path, rule):
    write_rafdb(tmp_path)
    data = rafdb.load(tmp_path, rule)
    found = by_name(data, (lambda name: name) if rule == "original" else aligned)
    assert found["test"] == OF_TEST
    assert found["train"] | found["validation"] == OF_TRAIN
    assert len(found["train"]) + len(found["validation"]) == len(OF_TRAIN)
    assert sorted(found["validation"].values()) == sorted(EMOTIONS[:7])
    assert (data.spec.name, data.spec.kind, data.spec.labels) == ("rafdb", "categorical", EMOTIONS[:7])
    assert data.published == {"train+validation": 12271, "test": 3068}
    assert data.protocol == "official train and test; validation carved from train"
    for faces in data.splits():
        assert faces.framing == ("photo" if rule == "original" else "face")
        assert faces.label_rule == f"as annotated ({rule or 'aligned'} images)"
        assert (faces.source, faces.dropped, faces.subjects, faces.groups) == ("real", {}, None, None)


def test_folders_by_number(tmp_path):
    truth = write_rafdb_folders(tmp_path)
    data = rafdb.load(tmp_path)
    found = labels_seen(data, truth)
    assert found["test"] == {name: label for name, label in truth.items() if name.startswith("test/")}
    assert found["train"] | found["validation"] == {n: label for n, label in truth.items() if n.startswith("train/")}
    assert data.train.images is data.validation.images


def test_both_versions_and_rules_hold_the_same_faces_out(tmp_path):
    write_rafdb(tmp_path / "a")
    write_rafdb_folders(tmp_path / "b")
    held = [
        by_name(rafdb.load(tmp_path / "a"), aligned)["validation"],
        by_name(rafdb.load(tmp_path / "a", "original"), str)["validation"],
    ]
    folders = rafdb.load(tmp_path / "b").validation
    names = {folders.images.names[row].split("/")[-1].replace("_aligned", "") for row in folders.rows}
    assert set(held[0]) == set(held[1]) == names


@pytest.mark.parametrize(
    "home", ["rafdb", "RAF-DB/basic", "raf-db/Basic", "RAF_DB", "RAF-DB", "RafDB/basic", "raf_db/basic"]
)
def test_places_of_the_list(tmp_path, home):
    write_rafdb(tmp_path, home=home, list_name="list_partition_label.txt")
    assert by_name(rafdb.load(tmp_path), aligned)["test"] == OF_TEST


@pytest.mark.parametrize("home", ["rafdb", "RAF-DB/DATASET", "raf-db/dataset", "RAF_DB"])
def test_places_of_the_folders(tmp_path, home):
    write_rafdb_folders(tmp_path, home=home)
    assert rafdb.load(tmp_path).test.counts() == dict.fromkeys(EMOTIONS[:7], 2)


def test_images_unpacked_into_a_folder_in_itself(tmp_path):
    write_rafdb(tmp_path)
    folder = tmp_path / "rafdb" / "basic" / "Image" / "aligned"
    folder.rename(folder.with_name("aside"))
    folder.mkdir()
    folder.with_name("aside").rename(folder / "aligned")
    assert by_name(rafdb.load(tmp_path), aligned)["test"] == OF_TEST


def test_the_list_is_preferred_to_folders(tmp_path):
    write_rafdb(tmp_path)
    write_rafdb_folders(tmp_path)
    data = rafdb.load(tmp_path)
    assert data.train.images is data.test.images


def test_images_that_the_list_leaves_out_are_counted(tmp_path):
    write_rafdb(tmp_path)
    folder = tmp_path / "rafdb" / "basic" / "Image" / "aligned"
    for name in ("train_99998_aligned.jpg", "train_99999_aligned.jpg", "test_9999_aligned.jpg", "Thumbs.db"):
        (folder / name).touch()
    data = rafdb.load(tmp_path)
    reason = "image without a line in the list"
    assert [faces.dropped for faces in data.splits()] == [{reason: 2}, {}, {reason: 1}]
    assert by_name(data, aligned)["test"] == OF_TEST


def test_dos_line_ends_and_a_byte_order_mark(tmp_path):
    write_rafdb(tmp_path)
    path = tmp_path / "rafdb" / "basic" / "EmoLabel" / "list_patition_label.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n").replace(b" ", b"\t") + b"\r\n")
    assert by_name(rafdb.load(tmp_path), aligned)["test"] == OF_TEST
