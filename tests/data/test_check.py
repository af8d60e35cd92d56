"""``python -m ciao_stream.data check``: its findings on good, doubtful and damaged data sets."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

import ciao_stream.data.check.run
import ciao_stream.data.check.scan
from benchmarks.names import real_task_names
from ciao_stream.data.check.findings import identity_findings, judged_counts, published_findings
from ciao_stream.data.check.places import UniqueImages, number
from ciao_stream.faces.dataset import TaskData
from ciao_stream.faces.readers.image_files import Cropped
from tests.helpers import emoreact_files, jaffe_files
from tests.helpers.check_reports import dataset, made_task, notes, overlap, smooth, wrong
from tests.helpers.fer2013_files import CSV_CLASSES, USAGES, some_rows, write_csv, write_folders, write_votes

ROWS = some_rows()


# --- nothing wrong ---------------------------------------------------------------------------------------------------


def test_a_good_data_set(check, tmp_path, processes):  # noqa: ARG001
    write_csv(tmp_path / "fer2013" / "fer2013.csv", ROWS)
    code, document, printed, errors = check(tmp_path)
    assert code == 0
    assert document["format"] == "ciao_stream/check/1"
    assert document["command"] == ["ciao_stream.data", "check", str(tmp_path), "--out", str(tmp_path / "out")]
    assert (document["verdict"], document["images"], document["unreadable"], document["overlaps"]) == (
        "nothing wrong", 42, [], [],
    )  # fmt: skip
    assert document["seconds"] > 0
    assert document["images_per_second"] > 0
    (task,) = document["tasks"]
    assert task["spec"]["name"] == "fer"
    assert (task["width"], task["height"], task["colour_share"]) == ([48, 48, 48], [48, 48, 48], 0.0)
    assert [(s["split"], s["samples"], s["unreadable"]) for s in task["splits"]] == [
        ("train", 14, 0), ("validation", 14, 0), ("test", 14, 0),
    ]  # fmt: skip
    assert task["splits"][0]["counts"] == dict.fromkeys(task["spec"]["labels"], 2)
    assert notes(document, "identities") == ["fer: identities unknown: the same people may be in train and test"]
    missing = [name for name in real_task_names() if name != "fer"]
    assert [entry["task"] for entry in document["not_found"]] == missing
    assert f"not found: {', '.join(missing)}" in printed
    assert "train / validation / test: neutral 2 / 2 / 2, happiness 2 / 2 / 2" in printed
    assert "48 x 48 pixels, 0 % in colour" in printed
    assert "decode" in errors


def test_two_tasks_with_the_same_images_share_them_by_design(check, tmp_path):
    write_csv(tmp_path / "fer2013" / "fer2013.csv", ROWS)
    votes = [[10 if column == index % 8 else 0 for column in range(10)] for index in range(len(ROWS))]
    write_votes(tmp_path / "ferplus" / "fer2013new.csv", ROWS, votes)
    code, document, _, _ = check(tmp_path, "--tasks", "fer,ferplus,ferplus:probability")
    assert code == 0
    assert document["images"] == 42
    assert document["overlaps"] == []
    listed = "train 14, validation 14, test 14"
    assert notes(document, "shared") == [
        f"ferplus shares 42 images with fer: {listed}",
        f"ferplus:probability shares 42 images with fer: {listed}",
        f"ferplus:probability shares 42 images with ferplus: {listed}",
    ]


def test_a_duplicate_within_a_task_is_not_repeated_across_tasks_that_share_it(check, tmp_path):
    again = [(row[0], row[1], "PrivateTest") for row in ROWS if row[2] == "Training"][:2]
    rows = [*ROWS, *again]
    write_csv(tmp_path / "fer2013" / "fer2013.csv", rows)
    votes = [[10 if column == index % 8 else 0 for column in range(10)] for index in range(len(rows))]
    write_votes(tmp_path / "ferplus" / "fer2013new.csv", rows, votes)
    _, document, _, _ = check(tmp_path)
    assert [(o["of"], o["within"], o["faces"]) for o in document["overlaps"]] == [
        ({"task": task, "split": "test"}, {"task": task, "split": "train"}, 2) for task in ("fer", "ferplus")
    ]
    found = {split["split"]: split["found_elsewhere"] for task in document["tasks"] for split in task["splits"]}
    assert found == {"train": 2, "validation": 0, "test": 2}


def test_all_folds_are_reported_and_counted(check, tmp_path):
    jaffe_files.write_jaffe(tmp_path)
    code, document, printed, _ = check(tmp_path, "--tasks", "jaffe")
    assert code == 1
    (task,) = document["tasks"]
    assert task["shared_subjects"] == []
    assert len(task["folds"]) > 2
    assert all("published" in text for text in wrong(document))
    assert "213 (train+validation+test)" in printed


# --- leaks and duplicates --------------------------------------------------------------------------------------------


def test_a_face_in_train_and_test_is_a_leak(check, tmp_path):
    at, first = next((at, row) for at, row in enumerate(ROWS) if row[2] == "Training")
    again = [((first[0] + 1) % 7, first[1], "PrivateTest"), (first[0], first[1], "PublicTest")]
    write_csv(tmp_path / "fer2013" / "fer2013.csv", [*ROWS, *again])
    code, document, printed, _ = check(tmp_path)
    assert code == 1
    text = "holds 1 of its own 15 test faces (1 has exactly the same pixels); of these 1 carry different labels"
    assert wrong(document) == [f"fer validation {text}", f"fer train {text}"]
    assert notes(document, "duplicates") == [
        "fer train holds 1 of its own 15 validation faces (1 has exactly the same pixels); with the same labels"
    ]
    leak = overlap(document, "fer test", "fer train")
    assert leak["leak"]
    assert (leak["faces"], leak["faces_within"], leak["pairs"], leak["other_label"]) == (1, 1, 1, 1)
    lines = [at + 2, len(ROWS) + 2]
    assert leak["examples"] == [
        {
            "of": f"fer2013/fer2013.csv, line {lines[1]}",
            "within": f"fer2013/fer2013.csv, line {lines[0]}",
            "how": "same pixels",
        }
    ]
    assert "3 things wrong" not in printed
    assert "2 things wrong" in printed


@pytest.mark.parametrize("quality", [50, 90])
def test_a_jpeg_of_a_training_face_in_test_is_a_leak(check, tmp_path, quality):
    root = write_folders(tmp_path / "fer2013", smooth(ROWS))
    image = cv2.imread(str(sorted((root / "train" / "sad").iterdir())[0]), cv2.IMREAD_GRAYSCALE)
    larger = cv2.resize(image, (96, 96))
    assert cv2.imwrite(str(root / "test" / "happy" / "again.jpg"), larger, [cv2.IMWRITE_JPEG_QUALITY, quality])
    code, document, _, _ = check(tmp_path)
    assert code == 1
    (text,) = wrong(document)
    assert text.endswith("of its own 29 test faces (0 have exactly the same pixels); of these 1 carry different labels")
    (leak,) = document["overlaps"]
    (example,) = leak["examples"]
    assert example["of"] == "fer2013/test/happy/again.jpg"
    assert example["within"].startswith("fer2013/train/sad/")
    assert example["how"] == "near"
    assert example["correlation"] > 0.99
    assert example["bits_apart"] <= 8


def test_duplicates_within_a_split_are_a_note(check, tmp_path):
    face = ROWS[0][1]
    again = [(ROWS[0][0], face, ROWS[0][2])] * 3
    write_csv(tmp_path / "fer2013.csv", [*ROWS, *again])
    code, document, _, _ = check(tmp_path)
    assert code == 0
    split = document["overlaps"][0]["of"]["split"]
    assert notes(document, "duplicates") == [
        f"fer {split} holds 4 of its 17 faces more than once (4 have exactly the same pixels); with the same labels"
    ]
    assert document["overlaps"][0]["pairs"] == len(document["overlaps"][0]["examples"]) == 6
    by_split = {s["split"]: (s["duplicates_within"], s["found_elsewhere"]) for s in document["tasks"][0]["splits"]}
    assert by_split == {**dict.fromkeys(("train", "validation", "test"), (0, 0)), split: (4, 0)}


def write_mmafedb(root, rows):
    """The faces as MMAFEDB has them: files in RGB, compressed."""
    for row, (emotion, face, usage) in enumerate(rows):
        place = root / "MMAFEDB" / {"Training": "train", "PublicTest": "valid", "PrivateTest": "test"}[usage]
        (place / CSV_CLASSES[emotion]).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(place / CSV_CLASSES[emotion] / f"{row}.jpg"), cv2.cvtColor(face, cv2.COLOR_GRAY2BGR))


def test_a_data_set_inside_another_is_evident(check, tmp_path):
    rows = smooth(ROWS)
    write_csv(tmp_path / "fer2013.csv", rows)
    moved = [row for row in rows if row[2] == "PrivateTest"][:3]
    others = smooth([*ROWS, *ROWS])[42:]
    write_mmafedb(tmp_path, [*rows, *others, *(((e + 1) % 7, face, "Training") for e, face, _ in moved)])
    code, document, _, _ = check(tmp_path, "--tasks", "fer,mmafedb")
    assert code == 1
    leaks = [text for text in wrong(document) if "published" not in text]
    how = "(0 have exactly the same pixels)"
    assert leaks == [
        f"mmafedb train holds 3 of its own 28 test faces {how.replace('0', '3')}; of these 3 carry different labels",
        f"mmafedb train holds 3 of fer's 14 test faces {how}; of these 3 carry different labels",
    ]
    held = notes(document, "duplicates")
    for split, kind in (("train", "training"), ("validation", "validation"), ("test", "test")):
        assert f"mmafedb {split} holds 14 of fer's 14 {kind} faces {how}; with the same labels" in held
    assert len(held) == 3
    assert [s["found_elsewhere"] for s in document["tasks"][0]["splits"]] == [14, 14, 14]


def test_frames_of_one_clip_are_not_duplicates_but_clips_in_two_splits_are(check, tmp_path):
    emoreact_files.write_emoreact(tmp_path, faces=True)
    code, document, printed, _ = check(tmp_path)
    assert document["overlaps"] == []
    assert code == 1
    assert all("published" in text for text in wrong(document))
    assert " of 40 images " in printed
    clips = {split: sorted((tmp_path / "emoreact" / "Data" / split).iterdir()) for split in ("Train", "Test")}
    clips["Test"][0].write_bytes(clips["Train"][0].read_bytes())
    _, document, _, _ = check(tmp_path)
    leak = overlap(document, "emoreact test", "emoreact train")
    assert leak["faces"] == leak["faces_within"] == leak["same_pixels"] == 10
    assert leak["examples"][0]["of"].endswith("frame 1 of 10")


def check_made(monkeypatch, tmp_path, tasks):
    monkeypatch.setattr(ciao_stream.data.check.run, "load_task", lambda name, _: tasks[name])
    return ciao_stream.data.check.run.check(tmp_path, list(tasks), [])


def test_a_file_of_train_in_test_is_a_leak_within_a_task_and_across_two(monkeypatch, tmp_path):
    one = made_task(tmp_path)
    leaky = replace(one, test=replace(one.test, images=one.train.images))
    found = check_made(monkeypatch, tmp_path, {"one": one, "leaky": leaky})
    assert wrong(found) == ["leaky train holds 4 files of leaky test", "one train holds 4 files of leaky test"]
    assert found["images"] == 12
    assert found["overlaps"] == []


def test_rules_of_one_data_set_may_split_it_in_other_ways(monkeypatch, tmp_path):
    one = made_task(tmp_path)
    swapped = replace(one, train=replace(one.test, split="train"), test=replace(one.train, split="test"))
    found = check_made(monkeypatch, tmp_path, {"slow": one, "slow:swapped": swapped})
    assert wrong(found) == []
    assert notes(found, "shared") == [
        "slow:swapped shares 12 images with slow: test with its train 4, validation 4, train with its test 4"
    ]


def test_every_fold_is_searched_for_leaks(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 48, 48), dtype=np.uint8)
    pixels[5] = pixels[1]
    for row, face in enumerate(pixels):
        assert cv2.imwrite(str(tmp_path / f"{row}.png"), face)
    everything = dataset("train", benchmarks_image_files(tmp_path, 6))
    orders = {"a": ([0, 1, 5], [2], [3, 4]), "b": ([0, 2, 3], [4], [1, 5]), "c": ([0, 1], [2, 4], [3, 5])}
    folds = [
        TaskData(
            everything.take(np.array(train)),
            everything.take(np.array(validation), "validation"),
            everything.take(np.array(test), "test"),
            fold=name,
        )
        for name, (train, validation, test) in orders.items()
    ]
    found = check_made(monkeypatch, tmp_path, {"folded": TaskData.cross_validation(folds)})
    assert wrong(found) == [
        "folded train holds 1 of its own 2 test faces (in 1 of its folds) (1 has exactly the same pixels); "
        "with the same labels"
    ]
    assert [(entry["of"], entry["leak"]) for entry in found["overlaps"]] == [
        ({"task": "folded", "split": "train", "fold": "a"}, False),
        ({"task": "folded", "split": "test", "fold": "c"}, True),
    ]


def benchmarks_image_files(folder, n):
    from ciao_stream.faces.readers.image_files import ImageFiles

    return ImageFiles(folder, tuple(f"{i}.png" for i in range(n)))


def test_crops_of_one_photo_are_separate_images(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (96, 48), dtype=np.uint8)
    assert cv2.imwrite(str(tmp_path / "0.png"), photo)
    files = benchmarks_image_files(tmp_path, 1)
    boxes = [np.array([[0, y, 48, 48]]) for y in (0, 48, 0)]
    images = UniqueImages()
    ids = [images.add(dataset("train", Cropped(files, box), np.array([0]))).tolist() for box in boxes]
    assert ids == [[0], [1], [0]]
    assert images.name(1) == str(tmp_path / "0.png")


# --- damage ----------------------------------------------------------------------------------------------------------


def test_unreadable_images_are_listed(check, tmp_path):
    root = write_folders(tmp_path / "fer2013", smooth(ROWS))
    empty, cut = sorted((root / "test" / "fear").iterdir())[:2]
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:200])
    code, document, printed, _ = check(tmp_path)
    assert code == 1
    assert {entry["image"] for entry in document["unreadable"]} == {str(p.relative_to(tmp_path)) for p in (empty, cut)}
    assert all(entry["in"] == ["fer test"] for entry in document["unreadable"])
    assert f"WRONG  unreadable: fer test: {empty}: an empty file; get the file again" in printed
    assert f"{cut}: not a whole image (200 bytes)" in printed
    assert [split["unreadable"] for split in document["tasks"][0]["splits"]] == [0, 0, 2]


def test_many_unreadable_images_are_counted(check, tmp_path):
    root = write_folders(tmp_path / "fer2013", ROWS)
    for path in (root / "test").rglob("*.png"):
        path.write_bytes(b"nonsense")
    _, document, _, _ = check(tmp_path)
    assert len(document["unreadable"]) == 28
    assert len(wrong(document)) == 11
    assert wrong(document)[-1] == "and 18 more images that cannot be decoded"
    assert document["tasks"][0]["splits"][2]["unreadable"] == 28


def test_a_malformed_data_set_is_reported_and_the_others_are_checked(check, tmp_path):
    path = write_csv(tmp_path / "fer2013" / "fer2013.csv", ROWS)
    path.write_bytes(path.read_bytes()[:-4000])
    jaffe_files.write_jaffe(tmp_path)
    code, document, _, _ = check(tmp_path)
    assert code == 1
    assert [task["name"] for task in document["tasks"]] == ["jaffe"]
    (malformed,) = document["malformed"]
    assert malformed["task"] == "fer"
    assert wrong(document)[0] == malformed["why"]
    assert f"{path}, line 43: expected 3 columns but found 2" in malformed["why"]


def test_all_is_malformed(check, tmp_path):
    path = write_csv(tmp_path / "fer2013" / "fer2013.csv", ROWS)
    path.write_bytes(b"")
    code, document, _, _ = check(tmp_path)
    assert (code, document["tasks"], document["images"]) == (1, [], 0)
    assert "the file is empty" in wrong(document)[0]


def test_flat_images_are_compared_by_their_pixels(check, tmp_path):
    flat = [(0, np.full((48, 48), shade, np.uint8), usage) for shade, usage in zip((7, 7, 9), USAGES, strict=True)]
    write_csv(tmp_path / "fer2013.csv", [*ROWS, *flat])
    code, document, _, _ = check(tmp_path)
    assert code == 0
    assert notes(document, "flat") == ["fer: 3 images show a single shade: only compared by exact pixels"]
    assert [(entry["faces"], entry["leak"]) for entry in document["overlaps"]] == [(1, False)]


# --- counts and identities -------------------------------------------------------------------------------------------


def first(findings):
    (found,) = findings
    return found.level, found.text


@pytest.mark.usefixtures("published_counts")
def test_a_part_of_fer_is_not_fer(check, tmp_path):
    write_csv(tmp_path / "fer2013" / "fer2013.csv", ROWS)
    code, document, _, _ = check(tmp_path)
    assert code == 1
    assert "fer train: 14 samples, differs by -28,695 (published 28,709)" in wrong(document)


def test_published_numbers(tmp_path):
    task = made_task(tmp_path)

    def compare(published):
        return [f.text for f in published_findings(number({"t": replace(task, published=published)})[0][0])]

    assert compare({"train": 4, "train+test": 8, "test": {"no": 2, "yes": 2}}) == []
    assert compare({"train": 3}) == ["t train: 4 samples, differs by +1 (published 3)"]
    assert compare({"train+validation": 1008}) == [
        "t train + validation: 8 samples, differs by -1,000 (published 1,008)"
    ]
    assert compare({"test": {"no": 1, "yes": 3}}) == [
        "t test: 4 samples, differs by label (published 4): no +1, yes -1"
    ]
    assert compare({"train": {"no": 1, "yes": 1}, "test": {"no": 2}}) == [
        "t train: 4 samples, differs by +2 (published 2): no +1, yes +1"
    ]


def test_a_clip_counts_once(tmp_path):
    faces = made_task(tmp_path).train
    clips = replace(faces, targets=np.array([0, 0, 1, 1]), groups=np.array([7, 7, 3, 3]))
    assert judged_counts(clips) == {"no": 1, "yes": 1}
    assert judged_counts(faces) == {"no": 2, "yes": 2}


def test_identities(tmp_path):
    task = made_task(tmp_path)

    def with_people(train, validation, test, protocol="as it is"):
        sets = [
            replace(s, subjects=np.array(list(p)))
            for s, p in zip(task.splits(), (train, validation, test), strict=True)
        ]
        return TaskData(*sets, protocol=protocol)

    def judge(data):
        return [(f.level, f.text) for f in identity_findings(number({"t": data})[0][0])]

    assert judge(with_people("aabb", "cccc", "dddd")) == []
    assert judge(task) == [("note", "t: identities unknown: the same people may be in train and test")]
    leak = with_people("aabb", "cccc", "ddbc")
    text = "t: 2 people in both train and test: b, c (protocol: as it is)"
    assert judge(leak) == [("wrong", text)]
    admitted = replace(leak, protocol="random; identities shared")
    assert judge(admitted) == [("note", text.replace("as it is", "random; identities shared"))]
    folds = [replace(fold, fold=name) for name, fold in (("x", with_people("aabb", "cccc", "dddd")), ("y", leak))]
    assert judge(TaskData.cross_validation(folds)) == [
        ("wrong", "t: 2 people in both train and test of 1 of 2 folds: b, c (protocol: as it is)")
    ]
